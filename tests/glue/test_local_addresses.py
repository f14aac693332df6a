"""
On hosts with several addresses: is the right one used, and said, by everybody?

On real sockets: Linux has all of 127.0.0.0/8.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from errno import EADDRINUSE
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString
from twisted.internet.error import CannotListenError, ConnectError, ConnectionRefusedError, NoRouteError
from twisted.internet.protocol import Factory

from tests.glue.test_real_sockets import ECHO, Asking, ask, asynchronous, hang_up, reactor, until
from tests.glue.test_shared import Node
from twisted_utp import UTPProtocol
from twisted_utp.endpoints import UTPClientEndpoint
from twisted_utp.udp import listen_udp
from twisted_utp.udp.offload import SWITCH

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what 127.0.0.2 is depends on the system")

LONG = b"".join(index.to_bytes(4, "big") for index in range(100_000))


@asynccontextmanager
async def listening(where: str, *, by: str = "string") -> AsyncIterator[Any]:
    """A port that echoes, opened by a string or by the reactor."""
    if by == "string":
        port = await serverFromString(reactor, where).listen(ECHO)
        yield port
    else:
        protocol = UTPProtocol(reactor)
        udp = reactor.listenUDP(0, protocol, interface="::" if where.startswith("utp6") else "")
        port = protocol.listen(ECHO)
        yield port
        await udp.stopListening()
    await port.stopListening()


def quoted(host: str) -> str:
    """For an endpoint string."""
    return str(quoteStringArgument(host))


@pytest.fixture(params=["trains", "singles", "reactor"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Our own port, with the kernel's help and without, and Twisted's."""
    monkeypatch.setenv(SWITCH, "0" if request.param == "singles" else "1")
    return "reactor" if request.param == "reactor" else "string"


@pytest.mark.parametrize(
    ("where", "hosts"),
    [("utp:0", ["127.0.0.1", "127.0.0.2", "127.1.2.3"]), ("utp6:0", ["::1", "127.0.0.2", "127.0.0.3"])],
)
@asynchronous
async def test_the_address_that_was_asked(by: str, where: str, hosts: list[str]) -> None:
    """Answers come from there, and both ends say so."""
    async with listening(where, by=by) as port:
        number = port.getHost().port
        for host in hosts:
            asking = await ask(f"utp:{quoted(host)}:{number}", LONG)
            served = next(iter(port.protocol._transports))
            expected = host if ":" in host or where == "utp:0" else f"::ffff:{host}"
            assert (served.getHost().host, served.getHost().port) == (expected, number)
            assert (asking.transport.getPeer().host, asking.transport.getPeer().port) == (host, number)
            assert asking.transport.getHost().host.rpartition(":")[2] == served.getPeer().host.rpartition(":")[2]
            assert asking.transport.getHost().host not in ("0.0.0.0", "::")
            await hang_up(asking)
            await until(lambda: not port.protocol._transports)


@asynchronous
async def test_an_idle_port_refuses_from_there(by: str) -> None:
    """RESETs, too: nobody listens on this port, which another connection keeps open."""
    async with listening("utp:0:interface=127.0.0.1") as other:
        dialling = UTPProtocol(reactor)
        udp = reactor.listenUDP(0, dialling) if by == "reactor" else listen_udp(reactor, 0, dialling)
        for host in ("127.0.0.1", "127.0.0.2"):
            with pytest.raises(ConnectionRefusedError):
                await ask(f"utp:{host}:{udp.getHost().port}:timeout=5")
        assert dialling.stats().resets_sent == 2
        assert other.listening
        await udp.stopListening()


@asynchronous
async def test_cookies_come_from_there(by: str) -> None:
    """A port whose backlog is full answers by cookie, from the address that was asked."""
    async with listening("utp:0:backlog=1", by=by) as port:
        if by == "reactor":
            port.change_settings(backlog=1)
        number = port.getHost().port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.1", 0))
            # SYNs that nobody confirms; type 4, version 1.
            for index in range(4):
                syn = bytes([0x41, 0, 10 * index >> 8, 10 * index & 255]) + bytes(12) + bytes([index, 1, 0, 0])
                stranger.sendto(syn, ("127.0.0.1", number))
            asking = await ask(f"utp:127.0.0.2:{number}")
        assert port.stats().cookies_proven == 1
        await hang_up(asking)


@asynchronous
async def test_bind_address_on_a_shared_port(by: str) -> None:
    """A port for all addresses dials from the one that is asked for, and no other; a wrong one is an error."""
    async with listening("utp:0") as server, listening("utp:0", by=by) as port:
        number, ours = server.getHost().port, port.getHost().port
        if by == "reactor":
            protocol = port.protocol
            told = UTPClientEndpoint.overProtocol(protocol, "127.0.0.1", number)
            told._bind = ("127.0.0.9", 0)
        else:
            told = clientFromString(reactor, f"utp:127.0.0.1:{number}:bindAddress=127.0.0.9:bindPort={ours}")
        asking = await told.connect(Factory.forProtocol(Asking))
        asking.transport.write(LONG)
        assert await asking.wait(len(LONG)) == LONG
        [served] = server.protocol._transports
        assert (served.getPeer().host, served.getPeer().port) == ("127.0.0.9", ours)
        assert (asking.transport.getHost().host, asking.transport.getHost().port) == ("127.0.0.9", ours)
        await hang_up(asking)
        with pytest.raises(ConnectError, match="assign requested address"):
            await port.protocol.connect(ECHO, "127.0.0.1", number, bindAddress="192.0.2.1")
        if by == "string":
            with pytest.raises((ConnectError, CannotListenError)):
                await ask(f"utp:127.0.0.1:{number}:bindAddress=192.0.2.1:bindPort={ours}")


@pytest.mark.parametrize(
    "host",
    [
        "::1",
        "[::1]",
        "0:0:0:0:0:0:0:1",
        "::0001",
        "::FFFF:127.0.0.1",
        "::ffff:7f00:1",
        "127.0.0.1",
        "0.0.0.0",
        "::",
        "::1%lo",
    ],
)
@asynchronous
async def test_spellings(by: str, host: str) -> None:
    """However an address is spelled, it connects; from the listening port itself as well."""
    async with listening("utp6:0", by=by) as port:
        number = port.getHost().port
        clients = [await ask(f"utp:{quoted(host)}:{number}")]
        if by == "string":
            clients.append(await ask(rf"utp:{quoted(host)}:{number}:bindAddress=\:\::bindPort={number}"))
        await hang_up(*clients)


@pytest.mark.parametrize("by", ["string"])
@pytest.mark.parametrize("spelling", ["[::1]", "0:0:0:0:0:0:0:1"])
@asynchronous
async def test_spellings_of_our_own(by: str, spelling: str) -> None:
    """Where we listen, and where we connect from, is spelled as freely."""
    ours = quoted(spelling)
    async with listening(f"utp:0:interface={ours}", by=by) as port:
        client = await ask(rf"utp:\:\:1:{port.getHost().port}:bindAddress={ours}")
        assert (port.getHost().host, client.transport.getHost().host) == ("::1", "::1")
        await hang_up(client)


@asynchronous
async def test_punching_by_any_spelling() -> None:
    """Both sides may spell the other as they like."""
    ends = [UTPProtocol(reactor), UTPProtocol(reactor)]
    ports = [reactor.listenUDP(0, end, interface="::") for end in ends]
    numbers = [port.getHost().port for port in ports]
    first = ends[0].punch(Factory.forProtocol(Asking), "0:0:0:0:0:0:0:1", numbers[1])
    second = ends[1].punch(Factory.forProtocol(Asking), "::0001", numbers[0])
    both = [await first, await second]
    both[0].transport.write(b"across")
    assert await both[1].wait(6) == b"across"
    await hang_up(*both)
    for port in ports:
        await port.stopListening()


@pytest.mark.parametrize(
    ("host", "error", "text"),
    [
        ("224.0.0.1", NoRouteError, "unreachable"),
        ("127.255.255.255", NoRouteError, "unreachable|broadcast"),
        ("fe80::1", ConnectError, "Invalid argument"),
        ("fe80::1%nosuch0", ConnectError, "no interface 'nosuch0'"),
    ],
)
@asynchronous
async def test_local_failures(host: str, error: type[Exception], text: str) -> None:
    """They are told at once, and the socket that was opened for it is closed."""
    endpoint = clientFromString(reactor, f"utp:{quoted(host)}:9000:timeout=60")
    before = len(reactor.getReaders())
    failed: list[Any] = []
    endpoint.connect(ECHO).addErrback(failed.append)
    assert failed and failed[0].check(error)
    assert re.search(text, failed[0].getErrorMessage())
    await until(lambda: len(reactor.getReaders()) == before)


@pytest.mark.parametrize(
    ("host", "source"), [("127.0.0.1", "::1"), ("::1", "127.0.0.1"), ("::1", "0.0.0.0"), ("127.0.0.1", "fe80::1%lo")]
)
def test_the_other_family(host: str, source: str) -> None:
    """It is an error when the string is parsed, and names the key."""
    with pytest.raises(ValueError, match=f"bindAddress='{source}': expected an address of the same family"):
        clientFromString(reactor, f"utp:{quoted(host)}:9000:bindAddress={quoted(source)}")


@asynchronous
async def test_both_families_on_one_port() -> None:
    """Beside utp: is utp6: IPv6's alone, and with ipv6Only=1 it is so in any order; without, it has both."""
    async with listening("utp:0") as four:
        number = four.getHost().port
        async with listening(f"utp6:{number}") as six:
            clients = [await ask(f"utp:127.0.0.1:{number}"), await ask(rf"utp:\:\:1:{number}")]
            await until(lambda: four.protocol._transports and six.protocol._transports)
            assert [len(port.protocol._transports) for port in (four, six)] == [1, 1]
            await hang_up(*clients)
    async with listening("utp6:0:ipv6Only=1") as six:
        number = six.getHost().port
        async with listening(f"utp:{number}"):
            clients = [await ask(f"utp:127.0.0.1:{number}"), await ask(rf"utp:\:\:1:{number}")]
            await hang_up(*clients)
    async with listening("utp6:0") as both:
        with pytest.raises(CannotListenError) as caught:
            await serverFromString(reactor, f"utp:{both.getHost().port}").listen(ECHO)
        assert caught.value.socketError.errno == EADDRINUSE


@asynchronous
async def test_what_is_left_over() -> None:
    """Foreign datagrams come with host and port, as Twisted's do."""
    async with listening("utp:0") as port:
        node = Node()
        port.protocol.share_with(node)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.bind(("127.0.0.1", 0))
            asking.sendto(b"foreign", ("127.0.0.2", port.getHost().port))
            await until(lambda: node.received)
            assert node.received == [(b"foreign", asking.getsockname())]
        port.protocol.stop_sharing()
