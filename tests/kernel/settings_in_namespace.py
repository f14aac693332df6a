"""
To be run in a network namespace of its own, by C{test_settings.py}: what sockets with settings do there, as JSON.

It has two interfaces that swallow what they are given, and whoever has the rights sees all packets.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Any

from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.wire import Echo

from tests.kernel.in_namespace import Told, ask, ip, outcome, play

NETWORK = """
link set lo up
link add d0 type veth peer name p0
link add d1 type veth peer name p1
link set p0 up
link set p1 up
link set d0 arp off up
link set d1 arp off up
addr add 10.1.0.1/24 dev d0
addr add 10.2.0.1/24 dev d1
route add default dev d0
route add default dev d1 metric 200
"""

_ALL = socket.htons(0x0003)  # ETH_P_ALL
_DATA, _FIN, _STATE, _RESET, _SYN = range(5)

# A DATA packet of no connection: type and version, extension, id; timestamps, window; numbers; payload.
STRAY = struct.pack("!BBHIIIHH", _DATA << 4 | 1, 0, 4711, 1, 1, 1, 1, 1) + b"stray"


class Seen:
    """UDP packets: marks and types by port, on one interface."""

    def __init__(self, device: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, _ALL)
        self._socket.bind((device, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)

    def packets(self) -> Iterator[tuple[str, int, int, bytes]]:
        """Source, port, the whole field of mark and ECN, and payload of each."""
        while True:
            try:
                packet = self._socket.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_UDP:
                source, mark, rest = packet[12:16], packet[1], packet[(packet[0] & 15) * 4 :]
                yield socket.inet_ntop(socket.AF_INET, source), rest[0] << 8 | rest[1], mark, rest[8:]
            elif packet[0] >> 4 == 6 and packet[6] == socket.IPPROTO_UDP:
                mark, rest = (packet[0] << 8 | packet[1]) >> 4 & 0xFF, packet[40:]
                yield socket.inet_ntop(socket.AF_INET6, packet[8:24]), rest[0] << 8 | rest[1], mark, rest[8:]

    def close(self) -> None:
        """See no more."""
        self._socket.close()


def marks(seen: Seen, port: int) -> Told:
    """What left a port: marks, types, and whether there was a train."""
    sent = [(mark, payload) for _, its_port, mark, payload in seen.packets() if its_port == port]
    return {
        "marks": sorted({mark for mark, _ in sent}),
        "types": sorted({payload[0] >> 4 for _, payload in sent}),
        "trains": any(len(payload) > 10_000 for _, payload in sent),
    }


async def marked(reactor: Any) -> Told:
    """Both ends of connections have marks of their own, whatever they send."""
    told: Told = {}
    for name, server, host in (
        ("IPv4", "utp:0", "127.0.0.1"),
        ("IPv6", "utp6:0:ipv6Only=1", "::1"),
        ("IPv4 on a socket for both", "utp6:0", "127.0.0.1"),
    ):
        port = await serverFromString(reactor, f"{server}:dscp=le").listen(Factory.forProtocol(Echo))
        number = port.getHost().port
        with contextlib.closing(Seen("lo")) as sent, contextlib.closing(Seen("lo")) as answered:
            where = f"utp:{quoteStringArgument(host)}:{number}:dscp=AF11"
            asking = await ask(where, bytes(400_000))
            own = asking.transport._owner.getHost().port
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.setblocking(False)
                stranger.sendto(STRAY, (host, number))
                await wait_for(reactor, stranger)
            told[name] = {"server": marks(answered, number), "client": marks(sent, own)}
        asking.transport.abortConnection()
        await port.stopListening()
    return told


async def wait_for(reactor: Any, answered: socket.socket) -> None:
    """A datagram for a socket that the reactor does not know."""
    from twisted.internet.task import deferLater

    while True:
        try:
            answered.recv(1 << 16)
        except BlockingIOError:
            await deferLater(reactor, 0.01)
        else:
            return


async def through_devices(reactor: Any) -> Told:
    """Where a SYN leaves, from which address; who hears what comes through another interface."""
    told: Told = {}
    with contextlib.closing(Seen("d0")) as first, contextlib.closing(Seen("d1")) as second:
        for key in ("", ":device=d0", ":device=d1"):
            await outcome(f"utp:192.0.2.1:9:timeout=0.1{key}")
            told[key] = {
                "d0": sorted({source for source, *_ in first.packets()}),
                "d1": sorted({source for source, *_ in second.packets()}),
            }
    for device in ("lo", "d1"):
        port = await serverFromString(reactor, f"utp:0:device={device}").listen(Factory.forProtocol(Echo))
        number = port.getHost().port
        told[f"listening on {device}"] = await outcome(f"utp:127.0.0.1:{number}:timeout=5")
        told[f"dialling from {device}"] = await outcome(f"utp:10.1.0.1:9:bindPort={number}:timeout=0.5:device={device}")
        await port.stopListening()
    told["no such device"] = await outcome("utp:127.0.0.1:9:device=nosuch0")
    try:
        await serverFromString(reactor, "utp:0:device=nosuch0").listen(Factory.forProtocol(Echo))
    except Exception as error:
        told["no such device here"] = f"{type(error).__name__}: {error}"
    return told


async def free(reactor: Any) -> Told:
    """A server is there before its address."""
    told: Told = {}
    for host, size in (("10.9.0.9", 32), ("2001:db8::9", 128)):
        string = f"utp:0:interface={quoteStringArgument(host)}"
        try:
            await serverFromString(reactor, string).listen(Factory.forProtocol(Echo))
        except Exception as error:
            told[f"{host} alone"] = type(error).__name__
        port = await serverFromString(reactor, f"{string}:freeBind=1").listen(Factory.forProtocol(Echo))
        number = port.getHost().port
        where = f"utp:{quoteStringArgument(host)}:{number}:timeout=5"
        dialling = f"{where}:bindAddress={quoteStringArgument(host)}:bindPort={number}"
        told[f"{host} dialling"] = await outcome(dialling)
        ip(f"addr add {host}/{size} dev d0{' nodad' if ':' in host else ''}")
        told[f"{host} then"] = await outcome(where)
        await port.stopListening()
    return told


if __name__ == "__main__":
    react(play, (NETWORK, marked, through_devices, free))
