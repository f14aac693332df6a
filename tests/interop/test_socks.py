"""
Do we exchange bytes through Dante, a SOCKS5 proxy, and does nothing pass it by?
"""

from __future__ import annotations

import contextlib
import hashlib
import select
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from benchmarks.bottleneck.namespaces import Namespace, NotPossible
from tests.clients.harness.network import within
from tests.interop.conftest import peer_is_missing
from tests.interop.dante import Dante, dante

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("danted")]

HERE = Path(__file__).resolve().parent
OURS, THEIRS = HERE / "exchange.py", HERE / "libutp_peer" / "exchange.js"
LENGTH = 8 << 20
TIMEOUT = 90

LOOPBACK = {"IPv4": "127.0.0.1", "IPv6": r"\:\:1", "name": "localhost"}

# The client's network, the proxy's two, and a part of the headers of what the capture below catches.
CLIENT, PROXY, SERVER = "10.77.1.2", "10.77.1.1", "10.77.2.2"
ETH_P_ALL, PACKET_OUTGOING = 3, 4
TCP, UDP = 6, 17


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Dante]:
    """One that takes everybody."""
    with dante(tmp_path) as running:
        yield running


def digest(seed: str, length: int = LENGTH) -> str:
    """What the receiver reports."""
    return hashlib.sha256(hashlib.shake_256(seed.encode()).digest(length)).hexdigest()


def options(seed: str, close: str, length: int = LENGTH) -> list[str]:
    """What either side does."""
    return ["--send", str(length), "--seed", seed, "--close", close]


def staying(close: str) -> list[str]:
    """What ours does when L{expect_whole} waits for it."""
    return [*options("ours", close), "--stay"]


def expect_whole(ours: Any, theirs: Any) -> None:
    """
    Both got what the other sent, and ours ended well.

    A busy Dante loses packets, now and then also our last acknowledgement.  Ours stays until theirs has ended, so that
    it repeats it; otherwise theirs, which has everything, waits for half a minute.
    """
    for program, seed in ((ours, "theirs"), (theirs, "ours")):
        done = program.wait_for_event("done", timeout=TIMEOUT)
        assert (done["received"], done["sha256"]) == (LENGTH, digest(seed))
    theirs.wait_for_exit(timeout=TIMEOUT, code=None)
    ours.hang_up()
    ours.wait_for_exit(timeout=TIMEOUT)


@pytest.mark.parametrize("offload", ["1", "0"], ids=["offload", "plain"])
@pytest.mark.parametrize("by", ["IPv4", "IPv6", "name"])
def test_our_own_server(start_python: Any, proxy: Dante, by: str, offload: str) -> None:
    """8 MiB each way, to an address of either family and to a name."""
    environment = {"TWISTED_UTP_OFFLOAD": offload}
    interface = r"\:\:1" if by == "IPv6" else "127.0.0.1"
    theirs = start_python(OURS, "listen", f"utp:0:interface={interface}", *options("theirs", "second"), env=environment)
    port = theirs.wait_for_event("listening")["port"]
    string = f"utp:{LOOPBACK[by]}:{port}:{proxy.keys}"
    expect_whole(start_python(OURS, "connect", string, *staying("first"), stdin=PIPE, env=environment), theirs)


def test_a_proxy_on_ipv6(start_python: Any, tmp_path: Path) -> None:
    """The way to it and the way from it are two things: over IPv6 to the proxy, over IPv4 to the server."""
    theirs = start_python(OURS, "listen", "utp:0:interface=127.0.0.1", *options("theirs", "second"))
    port = theirs.wait_for_event("listening")["port"]
    with dante(tmp_path, host="::1") as proxy:
        string = f"utp:127.0.0.1:{port}:{proxy.keys}"
        expect_whole(start_python(OURS, "connect", string, *staying("first"), stdin=PIPE), theirs)


@pytest.mark.parametrize("first", ["we", "they"])
def test_libutp(start: Any, start_python: Any, node: str, proxy: Dante, first: str) -> None:
    """8 MiB each way, whoever closes first."""
    theirs = start(node, str(THEIRS), "listen", *options("theirs", "first" if first == "they" else "second"))
    port = theirs.wait_for_event("listening")["port"]
    string = f"utp:127.0.0.1:{port}:{proxy.keys}"
    ours = start_python(OURS, "connect", string, *staying("first" if first == "we" else "second"), stdin=PIPE)
    expect_whole(ours, theirs)


def test_logins(start_python: Any, tmp_path: Path) -> None:
    """The right password lets in, a wrong one and none do not, and the reason is told at once."""
    for name, password in (("right", "pass: word"), ("wrong", "word: pass")):
        (tmp_path / name).write_text(password + "\n")
    with dante(tmp_path, users={"somebody": "pass: word"}) as proxy:
        for keys, reason in (
            (f":socksUser=somebody:socksPasswordFile={tmp_path / 'wrong'}", "it refused the user or the password"),
            (f":socksUser=nobody-here:socksPasswordFile={tmp_path / 'right'}", "it refused the user or the password"),
            ("", "it accepts no connection without a login"),
        ):
            refused = start_python(OURS, "connect", f"utp:127.0.0.1:9:{proxy.keys}{keys}")
            refused.wait_for_line(f"UTPProxyError: SOCKS5 proxy 127.0.0.1:.*: {reason}$")
        theirs = start_python(OURS, "listen", "utp:0:interface=127.0.0.1", *options("theirs", "second"))
        port = theirs.wait_for_event("listening")["port"]
        login = f"socksUser=somebody:socksPasswordFile={tmp_path / 'right'}"
        string = f"utp:127.0.0.1:{port}:{proxy.keys}:{login}"
        expect_whole(start_python(OURS, "connect", string, *staying("first"), stdin=PIPE), theirs)


def test_a_proxy_that_relays_no_udp(start_python: Any, tmp_path: Path) -> None:
    """Its rules are the reason."""
    with dante(tmp_path, command="connect") as proxy:
        refused = start_python(OURS, "connect", f"utp:127.0.0.1:9:{proxy.keys}")
        refused.wait_for_line(r"UTPProxyError: SOCKS5 proxy .*: its rules do not allow it$")


def test_no_proxy(start_python: Any, proxy: Dante) -> None:
    """Nobody listens there any more."""
    proxy.kill()
    refused = start_python(OURS, "connect", f"utp:127.0.0.1:9:{proxy.keys}")
    refused.wait_for_line(r"UTPProxyError: SOCKS5 proxy .*: cannot connect to it: Connection was refused")


def test_the_proxy_is_killed(start_python: Any, proxy: Dante) -> None:
    """In the middle of a transfer: it is lost at once, and says why."""
    length = 64 << 20
    theirs = start_python(OURS, "listen", "utp:0:interface=127.0.0.1", *options("theirs", "second", length))
    port = theirs.wait_for_event("listening")["port"]
    ours = start_python(OURS, "connect", f"utp:127.0.0.1:{port}:{proxy.keys}", *options("ours", "first", length))
    theirs.wait_for_event("connected")
    proxy.kill()
    done = ours.wait_for_event("done", timeout=20)  # silence takes longer: a keepalive comes after 29 s
    assert done["reason"].startswith("SOCKS5 proxy 127.0.0.1:") and done["received"] < length
    ours.wait_for_exit(code=1)


@contextlib.contextmanager
def networks() -> Iterator[tuple[Namespace, Namespace, Namespace]]:
    """A client, a proxy and a server, in a row; the one in the middle forwards nothing."""
    try:
        with Namespace("client") as client, Namespace("proxy") as proxy, Namespace("server") as server:
            for host, link, own, its in ((client, "inside", PROXY, CLIENT), (server, "outside", "10.77.2.1", SERVER)):
                proxy.ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", host.pid)
                proxy.ip("address", "add", f"{own}/24", "dev", link)
                proxy.ip("link", "set", link, "up")
                host.ip("address", "add", f"{its}/24", "dev", "eth0")
                host.ip("link", "set", "eth0", "up")
                host.ip("route", "add", "default", "via", own)
            yield client, proxy, server
    except NotPossible as reason:
        peer_is_missing(f"no networks: {reason}")


def sent_by(capture: socket.socket) -> set[tuple[str, int, int]]:
    """
    Where what has been captured went: host, protocol, port; of IPv4 only, which is all that there is there.
    """
    found = set()
    while select.select([capture], [], [], 0)[0]:
        packet, address = capture.recvfrom(65_535)
        if address[2] == PACKET_OUTGOING and packet[0] >> 4 == 4:
            header = (packet[0] & 15) * 4
            port = int.from_bytes(packet[header + 2 : header + 4], "big")
            found.add((socket.inet_ntoa(packet[16:20]), packet[9], port))
    return found


@pytest.mark.parametrize("host", [SERVER, "far.example"])
def test_nothing_leaks(start: Any, tmp_path: Path, host: str) -> None:
    """
    All that leaves the client's machine, from its start to its end and beyond the proxy's, goes to the proxy: to the
    TCP port of the control connection, and to one UDP port.  No name server is asked.
    """

    with networks() as (client, middle, server):
        capture = within(client, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)))
        capture.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
        theirs = start(*server.enter, sys.executable, OURS, "listen", "utp:0", *options("theirs", "second"))
        port = theirs.wait_for_event("listening")["port"]
        hosts = f"{SERVER} far.example\n"
        with capture, dante(tmp_path, host=PROXY, externals=["outside"], hosts=hosts, enter=middle.enter) as proxy:
            string = f"utp:{host}:{port}:{proxy.keys}"
            ours = start(*client.enter, sys.executable, OURS, "connect", string, *staying("first"), stdin=PIPE)
            expect_whole(ours, theirs)
            sent = sent_by(capture)
    assert {(to, protocol) for to, protocol, _ in sent} == {(PROXY, TCP), (PROXY, UDP)}
    assert len({where for _, protocol, where in sent if protocol == UDP}) == 1
    assert port not in {where for _, _, where in sent}
