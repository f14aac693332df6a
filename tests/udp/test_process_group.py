"""
Do processes on one port find each other, and nobody else?

Here they are in one process, which makes no difference to the kernel.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import reactor as _reactor

from tests.glue.test_real_sockets import asynchronous, until
from twisted_utp.udp import process_group
from twisted_utp.udp.process_group import MAX_MEMBERS, ProcessGroup

reactor: Any = _reactor
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="abstract names are Linux's")
NAME = f"a test {os.getpid()}"


class Member:
    """Has what it was told."""

    def __init__(self, name: str = NAME) -> None:
        self.heard: list[bytes] = []
        self.group = ProcessGroup(reactor, name, self.heard.extend)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Who has been away is looked for again at once, and the reactor is left clean."""
    monkeypatch.setattr(process_group, "_ABSENCE", 0)
    yield
    assert not any(isinstance(reader, process_group._Reader) for reader in reactor.getReaders())


@asynchronous
async def test_all_hear() -> None:
    """Whole messages, by number, as large as datagrams can be."""
    members = [Member() for _ in range(3)]
    assert [member.group.number for member in members] == [0, 1, 2]
    large = bytes(66_000)
    assert members[0].group.send(1, b"one") and members[0].group.send(2, b"two") and members[2].group.send(1, large)
    await until(lambda: len(members[1].heard) == 2 and members[2].heard)
    assert sorted(members[1].heard) == [large, b"one"] and members[2].heard == [b"two"]
    for member in members:
        member.group.leave()


@asynchronous
async def test_who_leaves() -> None:
    """It is not there any more; the next one has its number, and hears what is for that."""
    first, second = Member(), Member()
    assert first.group.send(1, b"before")
    await until(lambda: second.heard)
    second.group.leave()
    assert not first.group.send(1, b"meanwhile")
    third = Member()
    assert third.group.number == 1 and first.group.send(1, b"after")
    await until(lambda: third.heard)
    assert third.heard == [b"after"]
    first.group.leave()
    third.group.leave()


def test_who_is_asked() -> None:
    """Everybody but oneself, those who have seen it, and those who were not there a moment ago."""
    member = Member()
    assert list(member.group.others(0b110)) == list(range(3, MAX_MEMBERS))
    process_group._ABSENCE = 1000
    assert not member.group.send(5, b"anybody?")
    assert list(member.group.others(0)) == [*range(1, 5), *range(6, MAX_MEMBERS)]
    member.group.leave()


def test_taking_turns() -> None:
    """Of those that are there each is asked first once in a while: one may be stuck."""
    members = [Member() for _ in range(4)]
    group = members[0].group
    assert list(group.others(0))[:3] == [1, 2, 3] and all(group.send(number, b"") for number in (1, 2, 3))
    orders = [list(group.others(0)) for _ in range(3)]
    assert sorted(order[0] for order in orders) == [1, 2, 3]
    assert all(sorted(order) == list(range(1, MAX_MEMBERS)) for order in orders)
    assert [next(group.others(0b0110)) for _ in range(3)] == [3, 3, 3]
    for member in members:
        member.group.leave()


def test_other_ports() -> None:
    """Their processes are others."""
    here, there = Member(), Member(f"{NAME} of another port")
    assert here.group.number == there.group.number == 0 and not here.group.send(1, b"")
    here.group.leave()
    there.group.leave()


def test_a_full_group() -> None:
    """There is an end to it."""
    members = [Member() for _ in range(MAX_MEMBERS)]
    with pytest.raises(OSError, match="64 processes are on that port already"):
        Member()
    for member in members:
        member.group.leave()


@asynchronous
async def test_other_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may take a name; they are not told anything, nor heard."""
    member = Member()
    squatter = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    squatter.bind(member.group._prefix + "1")
    squatter.listen()
    intruder = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    intruder.connect(member.group._prefix + "0")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)  # so that those who are there seem to be others
    assert not member.group.send(1, b"secret")
    intruder.send(b"forged")
    await until(lambda: is_closed(intruder))
    assert member.heard == []
    squatter.close()
    intruder.close()
    member.group.leave()


def is_closed(theirs: socket.socket) -> bool:
    """Has the other end hung up?"""
    try:
        return theirs.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@contextlib.contextmanager
def crowd_before(group: ProcessGroup) -> Iterator[None]:
    """So many want to be taken in that nobody else can: any user of the machine can do that."""
    with contextlib.ExitStack() as stack:
        for _ in range(4 * MAX_MEMBERS):
            one = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK))
            try:
                one.connect(f"{group._prefix}{group.number}")
            except BlockingIOError:
                break
        else:
            raise AssertionError("all of them fit")
        yield


def test_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot be asked for that is told from who is not there, for as long as it is not asked again."""
    now = [1000.0]
    monkeypatch.setattr(process_group, "monotonic", lambda: now[0])
    monkeypatch.setattr(process_group, "_ABSENCE", 0.1)
    first, second = Member(), Member()
    assert not first.group.send(2, b"nobody") and not first.group.is_crowded
    with crowd_before(second.group):
        assert not first.group.send(1, b"somebody") and first.group.is_crowded
    assert 1 not in first.group.others(0)
    now[0] += 0.2
    assert 1 in first.group.others(0) and not first.group.is_crowded
    first.group.leave()
    second.group.leave()
