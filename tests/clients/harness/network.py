"""
How is TCP made impossible between two programs, and the path between them bad?

Three network namespaces in a row: I{ours}, I{path} and I{theirs}.  The one in the middle forwards everything but TCP.
A lossy path is a UDP relay that runs there: one dials the relay, and it passes on to the other side what it does not
lose or hold back.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.bottleneck.namespaces import Namespace, NotPossible, why_not

OURS = "10.77.1.2"
THEIRS = "10.77.2.2"
_LONGEST_CALL = 20.0

# What a lossy path does, in both directions.  One way, seconds: longer, and senders whose window grows by a packet a
# round trip would take minutes.
DELAY = 0.002
LOSS = 0.02
# Datagrams that leave so many seconds later than the others, and so behind those that came after them.
LATE = 0.02
LATE_BY = 0.001
# libtorrent ends a connection silently when a packet was lost three times, or its FIN twice: by chance alone that is
# one in ten exchanges of 16 MB, also of libtorrent with itself.
LOST_AT_MOST = 1

_NO_TCP = """
table inet clients {
    chain between {
        type filter hook forward priority 0; policy accept;
        meta l4proto tcp counter drop
    }
}
"""

Address = tuple[str, int]
Result = TypeVar("Result")


def why_no_network() -> str | None:
    """
    Why there can be no such network on this machine; L{None} when there can.
    """
    reason = why_not()
    if reason is None and shutil.which("nft") is None:
        return "nft is not installed: apt-get install nftables"
    return reason


@dataclass(frozen=True)
class Network:
    """
    The three namespaces.
    """

    ours: Namespace
    path: Namespace
    theirs: Namespace

    def tcp_dropped(self) -> int:
        """
        How many TCP packets somebody has tried to send across, so far.
        """
        words = self.path.run("nft", "list", "chain", "inet", "clients", "between").split()
        return int(words[words.index("packets") + 1])


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """
    Set them up, and take them down with all that runs in them.

    @raise NotPossible: something is not permitted here, or not in this kernel.
    """
    with Namespace("ours") as ours, Namespace("path") as path, Namespace("theirs") as theirs:
        _connect(path, ours, "10.77.1.1", OURS)
        _connect(path, theirs, "10.77.2.1", THEIRS)
        # First the filter: there is no moment at which TCP passes.
        path.run("nft", _NO_TCP)
        path.write("net/ipv4/ip_forward", "1")
        yield Network(ours, path, theirs)


def _connect(path: Namespace, host: Namespace, gateway: str, address: str) -> None:
    path.ip("link", "add", f"to-{host.name}", "type", "veth", "peer", "name", "eth0", "netns", host.pid)
    path.ip("address", "add", f"{gateway}/24", "dev", f"to-{host.name}")
    path.ip("link", "set", f"to-{host.name}", "up")
    host.ip("address", "add", f"{address}/24", "dev", "eth0")
    host.ip("link", "set", "eth0", "up")
    host.ip("route", "add", "default", "via", gateway)


def within(namespace: Namespace, call: Callable[[], Result]) -> Result:
    """
    Call a function in a thread that is in that namespace.  A socket stays in the namespace in which it was made.

    @raise NotPossible: the thread is not let in.
    """
    outcome: list[Any] = []

    def enter_and_call() -> None:
        try:
            with open(f"/proc/{namespace.pid}/ns/net") as there:
                # Python has it (os.setns) since 3.12.  It is the thread that moves, and it ends here.
                if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), 0):
                    raise NotPossible(f"{namespace.name}: setns: {os.strerror(ctypes.get_errno())}")
            outcome.extend([call(), None])
        except BaseException as error:
            outcome.extend([None, error])

    thread = threading.Thread(target=enter_and_call)
    thread.start()
    thread.join()
    result, error = outcome
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def dial(namespace: Namespace, address: Address) -> socket.socket:
    """
    A TCP connection within that namespace, for the remote control of a client.
    """
    return within(namespace, lambda: socket.create_connection(address, timeout=_LONGEST_CALL))


def listen(namespace: Namespace, host: str = "127.0.0.1") -> socket.socket:
    """
    A TCP socket that listens in that namespace, on any port.
    """
    return within(namespace, lambda: socket.create_server((host, 0)))


def free_port(namespace: Namespace) -> int:
    """
    A port that neither TCP nor UDP uses in that namespace, for clients that must be told theirs.
    """

    def find() -> int:
        with socket.create_server(("0.0.0.0", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            port: int = tcp.getsockname()[1]
            udp.bind(("0.0.0.0", port))
            return port

    return within(namespace, find)
