"""
Does what the other tests show in virtual time hold on the machine's own sockets?

Everything here is on the loopback interface, and waits only for what it has asked for.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import AlreadyListened, ConnectionRefusedError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import deferLater
from twisted.protocols.wire import Echo

from twisted_utp import UTPServerEndpoint
from twisted_utp.udp.adoption import adopt_udp

reactor: Any = _reactor
ECHO = Factory.forProtocol(Echo)
EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


class Asking(Protocol):
    """Sends, and has what came back; C{wait(n)} for so many bytes."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: Deferred[Any] = Deferred()
        self._waiting: list[tuple[int, Deferred[bytes]]] = []

    def wait(self, nbytes: int) -> Deferred[bytes]:
        waiting: Deferred[bytes] = Deferred()
        self._waiting.append((nbytes, waiting))
        self.dataReceived(b"")
        return waiting.addTimeout(10, reactor)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        for nbytes, waiting in self._waiting[:]:
            if len(self.data) >= nbytes:
                self._waiting.remove((nbytes, waiting))
                waiting.callback(self.data)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


async def ask(text: str, line: bytes = b"hello") -> Any:
    """Connect, and hear one's own words.  @return: the protocol."""
    asking = await clientFromString(reactor, text).connect(Factory.forProtocol(Asking))
    asking.transport.write(line)
    assert await asking.wait(len(line)) == line
    return asking


async def hang_up(*protocols: Any) -> None:
    """Close, and wait for the end."""
    for protocol in protocols:
        protocol.transport.abortConnection()
        await protocol.lost


async def listen(text: str = "utp:0:interface=127.0.0.1", factory: Any = ECHO) -> Any:
    """@return: the port."""
    return await serverFromString(reactor, text).listen(factory)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something, ten seconds at the most."""
    for _ in range(1000):
        if condition():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("it did not come true")


Test = Callable[..., Awaitable[None]]


def asynchronous(test: Test) -> Any:
    """Run a test on the reactor."""
    return pytest_twisted.ensureDeferred(test)


# --- Sharing ------------------------------------------------------------------------------------------------------


@asynchronous
async def test_sharing() -> None:
    """Two listening strings, a dial and a second protocol on one socket."""
    first = await listen()
    number = first.getHost().port
    second = await listen(f"utp:{number}:interface=127.0.0.1:sharePort=1")
    heard: Deferred[bytes] = Deferred()

    class Node(DatagramProtocol):
        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            if datagram == b"ping":
                self.transport.write(b"pong", addr)
            else:
                heard.callback(datagram)

    first.protocol.share_with(Node())
    other = await listen()
    other.protocol.share_with(Node())
    other.protocol.other.transport.write(b"ping", ("127.0.0.1", number))
    assert await heard == b"pong"
    asking = await ask(f"utp:127.0.0.1:{other.getHost().port}:bindAddress=127.0.0.1:bindPort={number}")
    assert asking.transport.getHost().port == number
    await hang_up(asking)
    for port in (first, second, other):
        port.protocol.stop_sharing()
        await port.stopListening()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
@asynchronous
async def test_dual_stack() -> None:
    """One string listens for both families, and dials both from its port."""
    port = await listen(r"utp:0:interface=\:\:")
    number = port.getHost().port
    clients = [await ask(f"utp:127.0.0.1:{number}"), await ask(rf"utp:\:\:1:{number}")]
    four, six = await listen(), await listen(r"utp:0:interface=\:\:1")
    clients.append(await ask(f"utp:127.0.0.1:{four.getHost().port}:bindPort={number}"))
    clients.append(await ask(rf"utp:\:\:1:{six.getHost().port}:bindAddress=\:\::bindPort={number}"))
    assert [client.transport.getHost().port for client in clients[2:]] == [number] * 2
    assert clients[2].transport.getPeer().host == "127.0.0.1"
    await hang_up(*clients)
    for listening in (port, four, six):
        await listening.stopListening()


# --- Sockets from outside -----------------------------------------------------------------------------------------


def bound(kind: int = socket.SOCK_DGRAM) -> socket.socket:
    """A socket that somebody else made."""
    made = socket.socket(socket.AF_INET, kind)
    made.bind(("127.0.0.1", 0))
    return made


@asynchronous
async def test_adopted_socket() -> None:
    """It is served, and shared by strings that name its address; it is taken over once."""
    outside = bound()
    address, number = outside.getsockname()
    endpoint = serverFromString(reactor, f"utp:fd={outside.detach()}:noDelay=1")
    port = await endpoint.listen(ECHO)
    with pytest.raises(ConnectionRefusedError):  # told by ICMP, as on a socket of our own
        unbound = bound()
        closed = unbound.getsockname()[1]
        unbound.close()
        await ask(f"utp:127.0.0.1:{closed}:timeout=5:bindAddress=127.0.0.1:bindPort={number}")
    assert (port.getHost().host, port.getHost().port) == (address, number)
    with pytest.raises(AlreadyListened):
        await endpoint.listen(ECHO)
    other = await listen()
    clients = [
        await ask(f"utp:127.0.0.1:{number}", bytes(200_000)),
        await ask(f"utp:127.0.0.1:{other.getHost().port}:bindAddress=127.0.0.1:bindPort={number}"),
    ]
    await hang_up(*clients)
    await other.stopListening()
    await port.stopListening()


@asynchronous
async def test_adopted_by_the_reactor() -> None:
    """C{adoptDatagramPort} itself does as well, and so does a descriptor that stays the caller's."""
    from twisted_utp import UTPProtocol

    for adopt in (
        lambda fd, protocol: reactor.adoptDatagramPort(fd, socket.AF_INET, protocol, maxPacketSize=65535),
        lambda fd, protocol: adopt_udp(reactor, fd, protocol),
    ):
        with bound() as outside:
            outside.setblocking(False)
            protocol = UTPProtocol(reactor)
            udp = adopt(outside.fileno(), protocol)
            protocol.listen(ECHO)
            await hang_up(await ask(f"utp:127.0.0.1:{outside.getsockname()[1]}"))
            await udp.stopListening()
            assert outside.fileno() >= 0


# Level, option, value: what an earlier owner may have wanted.
EARLIER_OWNERS = {
    "nothing": (),
    "systemd": ((1, 29, 1), (0, 8, 1)),  # Timestamping=, PassPacketInfo=
    "talkative": ((1, 35, 1), (1, 40, 1), (1, 75, 1), (0, 12, 1), (0, 13, 1), (0, 20, 1), (0, 7, 1)),
    "merges": ((17, 104, 1),),
    "cuts": ((17, 103, 100),),
    "corks": ((17, 1, 1), (1, 11, 1)),
    "IPsec": ((17, 100, 2),),
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="these options are Linux's")
@pytest.mark.parametrize("offload", ["1", "0"])
@pytest.mark.parametrize("owner", EARLIER_OWNERS)
@pytest.mark.parametrize("adopts", ["string", "reactor"])
@asynchronous
async def test_adopted_from_anybody(monkeypatch: pytest.MonkeyPatch, offload: str, owner: str, adopts: str) -> None:
    """Whatever an earlier owner has set on the socket, streams in both directions are what was sent."""
    from twisted_utp import UTPProtocol

    monkeypatch.setenv("TWISTED_UTP_OFFLOAD", offload)
    outside = bound()
    for option in EARLIER_OWNERS[owner]:
        outside.setsockopt(*option)
    address, number = outside.getsockname()
    protocol = UTPProtocol(reactor)
    if adopts == "string":
        port = await serverFromString(reactor, f"utp:fd={outside.detach()}").listen(ECHO)
    else:
        udp = reactor.adoptDatagramPort(outside.fileno(), socket.AF_INET, protocol, maxPacketSize=65535)
        outside.close()
        port = protocol.listen(ECHO)
    asking = await ask(f"utp:{address}:{number}", b"".join(index.to_bytes(4, "big") for index in range(500_000)))
    assert port.stats().truncated == 0
    await hang_up(asking)
    await port.stopListening()
    if adopts == "reactor":
        await udp.stopListening()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="these options are Linux's")
@pytest.mark.parametrize("offload", ["1", "0"])
@asynchronous
async def test_what_waits_in_an_adopted_socket(monkeypatch: pytest.MonkeyPatch, offload: str) -> None:
    """Datagrams that were merged for an earlier owner come apart again, also when we merge none."""
    monkeypatch.setenv("TWISTED_UTP_OFFLOAD", offload)
    arrived: list[bytes] = []

    class Node(DatagramProtocol):
        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            arrived.append(datagram)

    outside = bound()
    try:
        outside.setsockopt(17, 104, 1)
    except OSError:
        return  # this kernel merges nothing
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(17, 103, 4)
        sender.sendto(b"one.two.tri.", outside.getsockname())
    outside.setsockopt(17, 104, 0)
    port = await serverFromString(reactor, f"utp:fd={outside.detach()}").listen(ECHO)
    port.protocol.share_with(Node())
    await until(lambda: arrived)
    assert arrived == [b"one.", b"two.", b"tri."]
    port.protocol.stop_sharing()
    await port.stopListening()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="extension headers are asked for as on Linux")
@asynchronous
async def test_control_messages_without_room() -> None:
    """What arrives with more of them than there is room for is dropped and counted; the others arrive."""
    port = await listen(r"utp:0:interface=\:\:1")
    inner = port.protocol.transport.socket
    inner.setsockopt(socket.IPPROTO_IPV6, 58, 1)  # IPV6_RECVDSTOPTS, from somebody who shares the socket
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        options = bytes([0, 99]) + (b"\x1e\xfd" + bytes(253)) * 3 + b"\x1e\x1f" + bytes(31)  # 800 bytes, for nobody
        try:
            sender.setsockopt(socket.IPPROTO_IPV6, 59, options)  # IPV6_DSTOPTS
        except PermissionError:
            await port.stopListening()
            pytest.skip("it takes more rights to send extension headers")
        sender.sendto(bytes(20), ("::1", port.getHost().port))
    await until(lambda: port.stats().truncated)
    asking = await ask(rf"utp:\:\:1:{port.getHost().port}")
    assert port.stats().truncated == 1
    await hang_up(asking)
    await port.stopListening()


@asynchronous
async def test_what_cannot_be_adopted() -> None:
    """A TCP socket, an unbound one and what is no socket are errors that say so."""
    with bound(socket.SOCK_STREAM) as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unbound:
        for descriptor in (stream.fileno(), unbound.fileno(), 99_999):
            with pytest.raises(ValueError, match=f"descriptor={descriptor}: expected a (bound UDP )?socket"):
                await UTPServerEndpoint.adopting(reactor, descriptor).listen(ECHO)
    with bound() as connected:
        connected.connect(("127.0.0.1", 9))
        with pytest.raises(ValueError, match="expected a socket that is not connected"):
            await UTPServerEndpoint.adopting(reactor, connected.fileno()).listen(ECHO)
    with pytest.raises(ValueError, match="fd='three': expected the number"):
        serverFromString(reactor, "utp:fd=three")
    with pytest.raises(ValueError, match="systemd='0': expected .* systemd has passed none"):
        serverFromString(reactor, "utp:systemd=0")


ACTIVATE = """
import os, socket, sys
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
made.bind(("127.0.0.1", 0))
os.dup2(made.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="echo")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file descriptors to inherit")
@pytest.mark.parametrize("which", ["0", "echo"])
def test_socket_activation(start_python: Any, which: str) -> None:
    """A socket that systemd has passed, by its index and by its name."""
    server = start_python("-c", ACTIVATE, EXAMPLES / "echo_server.py", f"utp:systemd={which}")
    number = server.wait_for_line(r"echoing on .*port=(\d+)")[1]
    client = start_python(EXAMPLES / "echo_client.py", f"utp:127.0.0.1:{number}", "hello systemd")
    client.wait_for_exit()
    assert client.output == ["hello systemd"]


# --- Statistics ---------------------------------------------------------------------------------------------------


@asynchronous
async def test_system_calls_are_counted() -> None:
    """Trains need fewer calls than datagrams, where the kernel takes them; nothing is counted twice."""
    port = await listen()
    asking = await ask(f"utp:127.0.0.1:{port.getHost().port}", bytes(2_000_000))
    stats = port.stats()
    assert stats.payload_received == 2_000_000 and 0 < stats.read_calls <= stats.datagrams_received
    assert 0 < stats.write_calls <= stats.datagrams_sent and stats.calls_per_datagram <= 1
    await hang_up(asking)
    await port.stopListening()
