"""
Does each connection stay with its process, whoever comes and goes?

The processes are ports of one process here, on the machine's own sockets; C{tests/examples/test_processes.py} has real
ones.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

from tests.glue.test_real_sockets import Asking, ask, asynchronous, hang_up, listen, until
from tests.udp.test_process_group import crowd_before
from twisted_utp import UTPProtocol
from twisted_utp import _siblings as module
from twisted_utp._siblings import Siblings, _decode, _encode, _Round
from twisted_utp.proto.values import Address, Datagram
from twisted_utp.udp import listen_udp
from twisted_utp.udp.addresses import unmapped
from twisted_utp.udp.process_group import _Reader
from twisted_utp.udp.settings import SocketSettings

reactor: Any = _reactor
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux spreads peers over processes")


class Process:
    """What listens on a port that others have, too."""

    def __init__(self, number: int = 0, interface: str = "127.0.0.1") -> None:
        self.protocol = UTPProtocol(reactor)
        if not number:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("127.0.0.1", 0))
                number = probe.getsockname()[1]
        self.number = number
        listen_udp(reactor, number, self.protocol, interface, settings=SocketSettings(reuse_port=True))
        self.siblings = Siblings(reactor, self.protocol, f"{interface} {number} test")
        self.protocol.multiplexer.siblings = self.siblings
        self.port = self.protocol.listen(Factory.forProtocol(Echo))

    @property
    def handed_on(self) -> int:
        """Packets that others have now."""
        return self.protocol.stats().handed_on

    def connections(self) -> set[tuple[str, int]]:
        """Whom it serves."""
        addresses = [connection.address for connection in self.protocol.multiplexer.table.all()]
        return {(unmapped(address[0]), address[1]) for address in addresses}

    def end(self) -> None:
        """Without a word to anybody, as if it had been killed."""
        port: Any = self.protocol._udp_port
        for connection in self.protocol.multiplexer.table.all():
            connection.abort(now=self.protocol.clock())
        self.protocol.multiplexer.poll_transmits(now=self.protocol.clock(), max_transmits=1000)
        port.stopListening()
        self.siblings.leave()


def nothing_is_left() -> bool:
    """Of any group, in the reactor."""
    return not any(isinstance(reader, _Reader) for reader in reactor.getReaders())


async def said_by_all(asking: list[Any], number: int) -> None:
    """Everybody says something, and hears it."""
    for one in asking:
        one.data = b""
        one.transport.write(b"x" * number)
    for one in asking:
        assert await one.wait(number) == b"x" * number


@pytest.mark.parametrize("interface", ["127.0.0.1", "::"])
@asynchronous
async def test_coming_and_going(interface: str) -> None:
    """Connections go on, also with trains; new processes get new ones; those of one that is gone end at once."""
    processes = [Process(interface=interface)]
    number = processes[0].number
    processes += [Process(number, interface) for _ in range(2)]
    asking = [await ask(f"utp:127.0.0.1:{number}:bindAddress=127.0.0.2:bindPort=0:mtu={1400 - at}") for at in range(32)]
    await until(lambda: sum(len(process.connections()) for process in processes) == 32)
    assert all(process.connections() for process in processes)
    before = [process.connections() for process in processes]
    processes.append(Process(number, interface))
    await said_by_all(asking, 40_000)
    assert [process.connections() for process in processes[:3]] == before
    assert sum(process.handed_on for process in processes) > 0
    assert sum(process.protocol.stats().taken_over for process in processes) > 0
    new = [await ask(f"utp:127.0.0.1:{number}:mtu={1400 - at}") for at in range(48)]
    assert len(processes[3].connections()) > 0
    lost = processes[1].connections()
    processes[1].end()
    ended = [one for one in asking + new if host_of(one) in lost]
    going_on = [one for one in asking + new if host_of(one) not in lost]
    assert ended and len(going_on) > 32
    await said_by_all(going_on, 40_000)
    for one in ended:
        one.transport.write(b"is anybody there")
        await one.lost
    await hang_up(*going_on)
    for process in (processes[0], *processes[2:]):
        process.end()


def host_of(one: Any) -> tuple[str, int]:
    """A client's end, as the server has it."""
    host = one.transport.getHost()
    return ("127.0.0.2" if host.host == "127.0.0.2" else "127.0.0.1", host.port)


@asynchronous
async def test_one_reset() -> None:
    """A packet that nobody knows is refused once, by the last to see it."""
    processes = [Process()]
    processes += [Process(processes[0].number) for _ in range(2)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        stray = struct.pack("!BBHIIIHH", 1, 0, 4711, 1, 1, 1, 1, 1) + b"stray"
        stranger.sendto(stray, ("127.0.0.1", processes[0].number))
        await until(lambda: sum(process.protocol.stats().resets_sent for process in processes))
        answer: list[bytes] = []
        await until(lambda: answer or received(stranger, answer))
        assert answer[0][0] >> 4 == 3
    assert sum(process.protocol.stats().resets_sent for process in processes) == 1
    assert sum(process.handed_on for process in processes) == 2
    for process in processes:
        process.end()


def received(stranger: socket.socket, answers: list[bytes]) -> bool:
    """Is there an answer?"""
    try:
        answers.append(stranger.recv(2000))
    except BlockingIOError:
        return False
    return True


@asynchronous
async def test_who_has_stopped_listening() -> None:
    """It serves whom it has, and whom the kernel sends it otherwise is served by the others."""
    first = Process()
    second = Process(first.number)
    where = f"utp:127.0.0.1:{first.number}"
    asking = [await ask(f"{where}:mtu={1400 - at}") for at in range(24)]
    served = first.connections()
    assert served and second.connections()
    await first.port.stopListening()
    new = [await ask(f"{where}:mtu={1200 - at}") for at in range(24)]
    assert first.connections() == served and first.handed_on
    await said_by_all(asking + new, 50_000)
    await hang_up(*asking, *new)
    first.end()
    second.end()


@asynchronous
async def test_dialling_from_there() -> None:
    """The answers come to whichever process the kernel likes, and from there to the one that has dialled."""
    first = Process()
    second = Process(first.number)
    servers = [await listen() for _ in range(16)]
    dialled = [
        await first.protocol.connect(Factory.forProtocol(Asking), "127.0.0.1", server.getHost().port)
        for server in servers
    ]
    assert len(first.connections()) == 16 and second.handed_on
    await said_by_all(dialled, 20_000)
    await hang_up(*dialled)
    for server in servers:
        await server.stopListening()
    first.end()
    second.end()


def test_no_reset_while_one_cannot_be_asked() -> None:
    """Another user who keeps the door of a process blocked does not end its connections."""
    first = Process()
    second = Process(first.number)
    stray = Datagram(struct.pack("!BBHIIIHH", 1, 0, 4711, 1, 1, 1, 1, 1) + b"stray", ("192.0.2.1", 9000))
    with crowd_before(second.siblings._group):
        assert first.siblings.ask(stray, True) and first.handed_on == 0
        assert not first.siblings.ask(stray, False), "what is not refused goes on here"
    first.end()
    second.end()


def test_a_flood_of_strays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are asked about so many, and hear no more of it; nor are those refused, who may be others'."""
    now = [1_000_000]
    protocol = UTPProtocol(reactor, clock=lambda: now[0])
    siblings = Siblings(reactor, protocol, "a flood")
    monkeypatch.setattr(siblings._group, "send", lambda number, message: True)
    stray = Datagram(b"stray", ("192.0.2.1", 4000))
    assert all(siblings.ask(stray, True) for _ in range(module.ASK_BURST + 500))
    stats = protocol.multiplexer.stats
    assert (stats.handed_on, stats.strays_dropped) == (module.ASK_BURST, 500)
    now[0] += 1_000_000
    assert all(siblings.ask(stray, True) for _ in range(10))
    assert stats.handed_on == module.ASK_BURST + 10
    siblings.leave()


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of others' connections has a bound."""
    monkeypatch.setattr(module, "MAX_KNOWN", 10)
    siblings = Siblings(reactor, UTPProtocol(reactor), "memory")
    for port in range(25):
        siblings._learn(1, [Datagram(b"\0\1", ("192.0.2.1", port))])
        assert len(siblings._known) <= 10
    siblings.leave()


@pytest.mark.parametrize("message", [b"", b"\x01", b"\x02" + bytes(100)], ids=["empty", "short", "other version"])
def test_messages_of_another_version(message: bytes) -> None:
    """They do no harm, nor to those that come with them."""
    siblings = Siblings(reactor, UTPProtocol(reactor), "versions")
    mine = _encode(_Round(module._MINE, False, 5, 0), Datagram(b"\0\1", ("192.0.2.1", 7)))
    siblings._received([message, mine])
    assert siblings._known == {(("192.0.2.1", 7), 1): 5}
    siblings.leave()


@pytest.mark.parametrize("address", [("192.0.2.1", 4000), ("::1", 1, "::1"), ("fe80::1%3", 65535, "fe80::2%3")])
def test_messages(address: Address) -> None:
    """They say what was meant."""
    how, datagram = _Round(1, True, 63, 1 << 63 | 1), Datagram(b"data" * 1000, address, 1400)
    assert _decode(_encode(how, datagram)) == (how, datagram)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("utp:0:reusePort=1", r"^reusePort=True: expected the other processes' port, not 0"),
        ("utp:80:reusePort=yes", r"^reusePort='yes': expected 0 or 1"),
        ("utp:fd=0:reusePort=1", r"^reusePort='1': must be set by whoever binds the socket"),
    ],
)
def test_wrong_servers(description: str, message: str) -> None:
    """It is a ValueError that names the setting."""
    with pytest.raises(ValueError, match=message):
        serverFromString(None, description)


@pytest.mark.parametrize("prefix", ["utp", "utps"])
def test_clients(prefix: str) -> None:
    """They have no such thing."""
    with pytest.raises(ValueError, match=r"^reusePort='1': is for servers"):
        clientFromString(None, f"{prefix}:host:80:bindPort=80:reusePort=1")


@asynchronous
async def test_strings() -> None:
    """The socket can be shared with other processes, and only with those that ask for it; nothing is left behind."""
    process = Process()
    with pytest.raises(CannotListenError):
        await listen(f"utp:{process.number}:interface=127.0.0.1")
    port = await listen(f"utp:{process.number}:interface=127.0.0.1:reusePort=1")
    assert port.protocol.multiplexer.siblings is not None
    with pytest.raises(CannotListenError, match="reusePort=False: expected True"):
        await listen(f"utp:{process.number}:interface=127.0.0.1:sharePort=1")
    await port.stopListening()
    port.startListening()
    assert port.protocol.multiplexer.siblings is not None
    await port.stopListening()
    process.end()
    assert nothing_is_left()


@asynchronous
async def test_no_unix_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox may have none: then it cannot listen, and leaves nothing behind."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]

    def refuse(*arguments: Any) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(module, "ProcessGroup", refuse)
    with pytest.raises(CannotListenError, match="Address family not supported"):
        await listen(f"utp:{number}:interface=127.0.0.1:reusePort=1")
    assert nothing_is_left()
