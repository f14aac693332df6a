"""
What is said about a connection: while it lasts, when it is over, and to programs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from twisted_utp.proto.stats import ConnectionStats
from twisted_utp.ucat.exits import Exit, exit_name

_UNITS = ("B", "kB", "MB", "GB", "TB")


class Account:
    """
    One connection, or the attempt to have one.

    @ivar role: C{"client"} or C{"server"}.
    @ivar peer: who it is with, L{None} before it is.
    @ivar taken: bytes read from standard input, or from the command, and handed to the transport.
    @ivar received: bytes from the peer.
    @ivar code: the exit code that it means.
    @ivar cause: why it failed, empty when it did not.
    """

    def __init__(
        self, seconds: Callable[[], float], role: str, total: int | None = None, *, checksums: bool = False
    ) -> None:
        """
        @param seconds: a clock.
        @param role: see the class.
        @param total: how many bytes will be sent, if that is known.
        @param checksums: take SHA-256 of what passes; it costs a second for 0.5 to 2 GB.
        """
        self._sums = (hashlib.sha256(), hashlib.sha256()) if checksums else None
        self.peer: str | None = None
        self.total = total
        self.taken = self.received = 0
        self.code: int = Exit.DONE
        self.cause = ""
        self.role = role
        self._seconds = seconds
        self._began = seconds()
        self._ended: float | None = None
        self._transport: Any = None

    def connected(self, transport: Any, peer: str) -> None:
        """
        The clock starts.
        """
        self.peer = peer
        self._transport = transport
        self._began = self._seconds()

    def take(self, data: bytes) -> None:
        """
        Something will be sent.
        """
        self.taken += len(data)
        if self._sums is not None:
            self._sums[0].update(data)

    def receive(self, data: bytes) -> None:
        """
        Something has come.
        """
        self.received += len(data)
        if self._sums is not None:
            self._sums[1].update(data)

    def checksums(self) -> dict[str, str]:
        """
        SHA-256 of all that was C{"sent"} and C{"received"}; of a direction that carried nothing, of one that has not
        sent all that it took, and when they were not wanted, nothing.
        """
        if self._sums is None:
            return {}
        sent, received = self._sums
        found = {}
        if self.taken and self.sent == self.taken:
            found["sent"] = sent.hexdigest()
        if self.received:
            found["received"] = received.hexdigest()
        return found

    def ended(self) -> None:
        """
        The clock stops.
        """
        if self._ended is None:
            self._ended = self._seconds()

    def fail(self, code: int, cause: str) -> None:
        """
        It went wrong.  The first cause is the one that counts.
        """
        if self.code == Exit.DONE:
            self.code, self.cause = code, cause

    @property
    def seconds(self) -> float:
        """
        How long it has taken.
        """
        return (self._seconds() if self._ended is None else self._ended) - self._began

    @property
    def sent(self) -> int:
        """
        Bytes that have left; C{taken}, where the transport cannot tell.
        """
        stats = self.transport_stats()
        return self.taken if stats is None else max(self.taken - stats.bytes_unsent, 0)

    def transport_stats(self) -> ConnectionStats | None:
        """
        What the transport counts, if it is uTP.
        """
        # A TLS transport passes the question on to the one below.
        stats = getattr(self._transport, "stats", None)
        found = stats() if callable(stats) else None
        return found if isinstance(found, ConnectionStats) else None

    def path(self) -> str:
        """
        How the way there is: round trip, queueing delay, what was sent again; as far as it has been measured.
        """
        stats = self.transport_stats()
        if stats is None:
            return ""
        measured = []
        if stats.rtt:
            measured.append(f"RTT {stats.rtt / 1000:.1f} ms")
        if stats.one_way_delay is not None:
            measured.append(f"queue {stats.queuing_delay / 1000:.1f} ms")
        return ", ".join([*measured, f"{stats.packets_retransmitted} resent"])

    def summary(self) -> str:
        """
        One line for people.
        """
        amount, seconds = self.sent + self.received, self.seconds
        rate = f" ({size(amount / seconds)}/s)" if seconds > 0 and amount else ""
        path = self.path()
        digits = 1 if seconds >= 1 else 3  # a short transfer did not take 0.0 s
        text = f"sent {size(self.sent)}, received {size(self.received)} in {seconds:.{digits}f} s{rate}"
        return f"{text}; {path}" if path else text

    def as_json(self) -> str:
        """
        One line for programs.
        """
        stats = self.transport_stats()
        return json.dumps(
            {
                "role": self.role,
                "peer": self.peer,
                "result": exit_name(self.code),
                "exit_code": int(self.code),
                "cause": self.cause,
                "seconds": round(self.seconds, 6),
                "sent": self.sent,
                "received": self.received,
                "sha256": self.checksums(),
                "transport": None if stats is None else asdict(stats),
            }
        )


def size(nbytes: float) -> str:
    """
    With a decimal unit.
    """
    for unit in _UNITS:
        if nbytes < 1000 or unit == _UNITS[-1]:
            break
        nbytes /= 1000
    return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.3g} {unit}"
