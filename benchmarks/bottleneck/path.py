"""
Which way do the packets go: sender, router, bottleneck, receiver?

::

    sender 10.9.1.2 ---- 10.9.1.1 router 10.9.2.1 --[tbf]--(delay)---- 10.9.2.2 receiver

The bottleneck is at a router, not in the sender, as it is at home: a sender's own queue pushes back on its sockets
(TCP small queues, a UDP socket's send buffer), and no router does.
"""

from __future__ import annotations

import contextlib
from types import TracebackType

from benchmarks.bottleneck.long_wire import compiled
from benchmarks.bottleneck.namespaces import Namespace
from benchmarks.child import Child

SENDER, RECEIVER = "10.9.1.2", "10.9.2.2"
ROUTER, _ROUTER_FAR = "10.9.1.1", "10.9.2.1"
_PREFIX = "/24"

# tbf's bucket: three full packets, so that it passes them one by one, as a modem does, and not in bursts.  It cuts the
# trains (GSO, TSO) that are longer.
BUCKET = 3 * 1514

# Packets that the relay's devices keep until it reads them.  The kernel's own number, 500, is 20 ms at 300 Mb/s: a
# process on a busy machine waits longer for a processor, and what does not fit is lost although the line lost nothing.
RELAY_QUEUE = 20_000

# What Ethernet adds to an IP packet, and tbf counts.
ETHERNET = 14


class Path:
    """
    Two hosts and a router between them.  Use as a context manager.

    @ivar sender: the host on the near side; C{receiver} the one behind the bottleneck.
    """

    def __init__(self, delay: float = 0.0, *, loss: float = 0.0, jitter: float = 0.0) -> None:
        """
        @param delay: seconds that each direction takes.  Not zero puts a relay between router and receiver that carries
            packets one by one.
        @param loss: part of the packets that it loses; C{jitter} seconds that it keeps one longer than another at most.
        """
        self._delay = delay
        self._loss = loss
        self._jitter = jitter
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Path:
        with contextlib.ExitStack() as opening:
            self.sender = opening.enter_context(Namespace("sender"))
            self.router = opening.enter_context(Namespace("router"))
            self.receiver = opening.enter_context(Namespace("receiver"))
            self._connect(opening)
            self._open = opening.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._open.close()

    def _connect(self, opening: contextlib.ExitStack) -> None:
        self.router.ip("link", "add", "near", "type", "veth", "peer", "name", "eth0", "netns", self.sender.pid)
        if self._delay:
            opening.enter_context(self._delayed())
        else:
            self.router.ip("link", "add", "far", "type", "veth", "peer", "name", "eth0", "netns", self.receiver.pid)
        _address(self.router, "near", ROUTER)
        _address(self.router, "far", _ROUTER_FAR)
        for host, address, gateway in ((self.sender, SENDER, ROUTER), (self.receiver, RECEIVER, _ROUTER_FAR)):
            _address(host, "eth0", address)
            host.ip("route", "add", "default", "via", gateway)
            # What one transfer learnt about the path is not to make the next one another.
            host.write("net/ipv4/tcp_no_metrics_save", "1")
        self.router.write("net/ipv4/ip_forward", "1")

    def _delayed(self) -> Child:
        """
        The far link as a program.
        """
        relay = self._relay("far", "eth0", self._delay, self._loss, self._jitter)
        try:
            relay.expect("made")
            for device in ("far", "eth0"):
                self.router.ip("link", "set", device, "txqueuelen", RELAY_QUEUE)
            self.router.ip("link", "set", "eth0", "netns", self.receiver.pid)
        except BaseException:
            relay.__exit__(None, None, None)
            raise
        return relay

    def _relay(self, *arguments: object) -> Child:
        program = compiled()
        if program is None:
            return self.router.start("benchmarks.bottleneck.long_wire", *arguments)
        return Child([*self.router.enter, program, *map(str, arguments)])

    def squeeze(self, rate: float, buffer: float) -> None:
        """
        Make the link to the receiver slow, behind a drop-tail queue.

        @param rate: bit/s.
        @param buffer: seconds that a full queue takes to drain.
        """
        limit = round(rate / 8 * buffer) + BUCKET
        shape = ("tbf", "rate", f"{round(rate)}bit", "burst", BUCKET, "limit", limit)
        self.router.run("tc", "qdisc", "replace", "dev", "far", "root", *shape)

    def narrow(self, mtu: int) -> None:
        """
        Let the link to the receiver carry no longer packets than that.
        """
        self.router.ip("link", "set", "far", "mtu", mtu)

    def silence_router(self) -> None:
        """
        Let the router send no packets of its own, so no ICMP message that one was too long.  It still forwards: rules
        call C{lo} the interface that only its own packets come from.
        """
        self.router.ip("rule", "add", "iif", "lo", "priority", 1, "blackhole")

    def too_long(self) -> int:
        """
        How many packets the router could not forward because they were too long and might not be cut.
        """
        return _counter(self.router, "Ip", "FragFails")

    def icmp_received(self) -> int:
        """
        How many messages the sender had that a destination cannot be reached; "too long" is one of them.
        """
        return _counter(self.sender, "Icmp", "InDestUnreachs")

    def fragments(self) -> int:
        """
        How many fragments hosts and router have made.
        """
        return _counter(self.sender, "Ip", "FragCreates") + _counter(self.router, "Ip", "FragCreates")


def _address(where: Namespace, device: str, address: str) -> None:
    where.ip("address", "add", address + _PREFIX, "dev", device)
    where.ip("link", "set", device, "up")


def _counter(where: Namespace, protocol: str, name: str) -> int:
    """
    One of the kernel's counters (RFC 1213), from C{/proc/net/snmp}: pairs of lines, names above values.
    """
    lines = [line.split() for line in where.run("cat", "/proc/net/snmp").splitlines()]
    names, values = [line for line in lines if line[0] == f"{protocol}:"]
    return int(values[names.index(name)])
