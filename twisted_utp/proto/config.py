"""
Which settings does a connection have, and what may each be?

One frozen object for code and endpoint strings alike.  Every value is checked when it is set: a C{ValueError}
names the setting, the value and what is allowed.  Times are seconds, as everywhere in Twisted; the core turns
them into microseconds itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from twisted_utp.proto.congestion.base import congestion_controller_names
from twisted_utp.proto.constants import (
    DEFAULT_BACKLOG,
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_KEEPALIVE,
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_MAX_IN_FLIGHT,
    DEFAULT_MAX_PER_HOST,
    DEFAULT_MIN_RTO,
    DEFAULT_RECEIVE_BUFFER,
    DEFAULT_SEND_BUFFER,
    DEFAULT_SHUTDOWN_TIMEOUT,
    DEFAULT_STALL_TIMEOUT,
    DEFAULT_TARGET_DELAY,
    DEFAULT_USER_TIMEOUT,
    MAX_RATE,
    MAX_UDP_PAYLOAD,
    MIN_MTU,
)

MICROSECONDS = 1_000_000


@lru_cache(maxsize=256)
def microseconds(seconds: float) -> int:
    """
    A setting in the core's unit: one number for all connections that have it.
    """
    return int(seconds * MICROSECONDS)


def _number(low: float, high: float, unit: str) -> dict[str, Any]:
    return {"low": low, "high": high, "unit": unit}


RATE_UNIT = "bytes a second (0 for no limit)"

# What each numeric setting may be.  Read by the check below, by the endpoint-string parsers and by the docs'
# table, so that there is one truth.
RANGES: Mapping[str, Mapping[str, Any]] = {
    "target_delay": _number(0.005, 1.0, "seconds"),
    "receive_buffer": _number(16 * 1024, 64 * 1024 * 1024, "bytes"),
    "send_buffer": _number(4 * 1024, 64 * 1024 * 1024, "bytes"),
    "max_in_flight": _number(16 * 1024, 64 * 1024 * 1024, "bytes"),
    "mtu": _number(MIN_MTU, MAX_UDP_PAYLOAD, "bytes"),
    "keepalive": _number(0, 3600, "seconds (0 switches it off)"),
    "connect_timeout": _number(0.1, 3600, "seconds"),
    "user_timeout": _number(1, 3600, "seconds"),
    "min_rto": _number(0.01, 10, "seconds"),
    "backlog": _number(1, 65535, "connections"),
    "max_connections": _number(1, 1_000_000, "connections"),
    "max_per_host": _number(1, 1_000_000, "connections"),
    "stall_timeout": _number(0, 86_400, "seconds (0 switches it off)"),
    "linger": _number(0, 3600, "seconds (0 switches it off)"),
    "shutdown_timeout": _number(0, 3600, "seconds (0 switches it off)"),
    "max_rate": _number(0, MAX_RATE, RATE_UNIT),
    "max_send_rate": _number(0, MAX_RATE, RATE_UNIT),
    "max_receive_rate": _number(0, MAX_RATE, RATE_UNIT),
    "max_port_rate": _number(0, MAX_RATE, RATE_UNIT),
    "max_port_send_rate": _number(0, MAX_RATE, RATE_UNIT),
    "max_port_receive_rate": _number(0, MAX_RATE, RATE_UNIT),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UTPConfig:
    """
    The settings of a connection, or of all connections of a port.

    @raise ValueError: on a value outside its range, naming the setting and the range.
    @raise TypeError: on a value of the wrong type.
    """

    congestion: str = "ledbat++"
    """Name of the congestion controller, see L{register_congestion_controller
    <twisted_utp.proto.congestion.base.register_congestion_controller>}."""

    target_delay: float = DEFAULT_TARGET_DELAY
    """Seconds of queueing delay that a delay-based controller aims for (RFC 6817 TARGET); with C{ledbat++} the default
    stands for its draft's 60 ms, and C{scavenger} aims for less by itself and never for more.  Lower is gentler to
    calls and games, and slower on paths whose delay jitters."""

    receive_buffer: int = DEFAULT_RECEIVE_BUFFER
    """Bytes that the peer may have under way to us or waiting for a paused reader (C{wnd_size})."""

    send_buffer: int = DEFAULT_SEND_BUFFER
    """Bytes written but not yet sent for the first time, beyond which producers are paused."""

    max_in_flight: int = DEFAULT_MAX_IN_FLIGHT
    """Bytes sent and not yet acknowledged, however large a window the peer announces: they are kept, to be sent again,
    for as long as the peer likes.  It bounds the rate to so many bytes a round trip."""

    mtu: int | None = None
    """UDP payload of full packets in bytes; L{None} to start with what every path carries and find out."""

    keepalive: float = DEFAULT_KEEPALIVE
    """Seconds of silence after which the peer is asked whether it is there, which also holds a NAT's mapping open; 0
    switches it off.  Without an answer for C{user_timeout} the peer is gone."""

    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    """Seconds after which a connect that nobody answered fails."""

    user_timeout: float = DEFAULT_USER_TIMEOUT
    """Seconds without an acknowledgement, while retransmitting, after which the peer counts as gone (RFC 5482)."""

    min_rto: float = DEFAULT_MIN_RTO
    """Seconds: the floor of the retransmission timeout (RFC 6298)."""

    no_delay: bool = False
    """True sends every small write at once instead of coalescing while small packets are unacknowledged."""

    pacing: bool = True
    """True spreads a window over the round trip; False sends as soon as the window allows."""

    backlog: int = DEFAULT_BACKLOG
    """SYNs that were answered and whose senders have not yet proved their address (no packet after their SYN).  Beyond
    it SYNs are answered without keeping anything of them, see L{twisted_utp.proto.syn_cookies}."""

    max_connections: int = DEFAULT_MAX_CONNECTIONS
    """Connections on one UDP port, dialled or accepted; a SYN beyond it is refused.  Those that only linger to answer
    repeated packets do not count, up to as many again."""

    max_per_host: int = DEFAULT_MAX_PER_HOST
    """Connections with one host (one /64 of IPv6), whatever its port; a SYN beyond it is refused.  Only peers that have
    proved their address count.  Many users may share a host's address (NAT)."""

    refuse_silently: bool = False
    """True leaves refused SYNs unanswered; False answers them with RESET."""

    early_byte: bool = False
    """True sends one byte to a peer that has connected and kept silent, where the application speaks first.  A libutp
    initiator confirms its address only then, or after 29 s; but who forges SYNs makes us send twice their bytes, and
    the application hears of peers that are not of our kind before they have proved their address."""

    stall_timeout: float = DEFAULT_STALL_TIMEOUT
    """Seconds in which a peer that answers must take at least 100 bytes a second on the average, and 6,000 at least, or
    all that waits for it; else it counts as gone: it hardly reads, or acknowledges nonsense.  0 waits for ever."""

    linger: float = 0
    """Seconds that what was written has to arrive once the connection is closed; then it is reset.  0 for as long as
    the peer keeps acknowledging."""

    shutdown_timeout: float = DEFAULT_SHUTDOWN_TIMEOUT
    """Seconds for which a stop of the reactor waits for connections that have been closed and still have something to
    deliver; 0 for none.  When there are none it does not wait."""

    max_rate: int = 0
    """Bytes a second that the connection may send, and as many that it may receive; 0 for no limit.  What counts is
    payload, also when it is sent again; headers come on top (3 % of full packets).  Of several limits the lowest
    counts."""

    max_send_rate: int = 0
    """Bytes a second that the connection may send; 0 for no limit."""

    max_receive_rate: int = 0
    """Bytes a second that the connection may receive; 0 for no limit.  The window that the peer is shown keeps it."""

    max_port_rate: int = 0
    """Bytes a second that all connections of a UDP port together may send, and as many that they may receive; 0 for no
    limit.  They take turns."""

    max_port_send_rate: int = 0
    """Bytes a second that all connections of a UDP port together may send; 0 for no limit."""

    max_port_receive_rate: int = 0
    """Bytes a second that all connections of a UDP port together may receive; 0 for no limit."""

    trace: str = ""
    """Directory for a qlog trace of each connection, made when it is missing; empty for what the environment variable
    C{TWISTED_UTP_TRACE} says, which is nowhere when that is empty too."""

    def __post_init__(self) -> None:
        names = congestion_controller_names()
        if not isinstance(self.congestion, str):
            raise TypeError(f"congestion={self.congestion!r}: expected one of {', '.join(names)}")
        if self.congestion not in names:
            raise ValueError(f"congestion={self.congestion!r}: expected one of {', '.join(names)}")
        for name, allowed in RANGES.items():
            self._check_number(name, getattr(self, name), allowed)
        for name in ("no_delay", "pacing", "refuse_silently", "early_byte"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name}={getattr(self, name)!r}: expected True or False")
        if not isinstance(self.trace, str):
            raise TypeError(f"trace={self.trace!r}: expected the name of a directory")
        if "\0" in self.trace:
            raise ValueError(f"trace={self.trace!r}: expected the name of a directory")

    @staticmethod
    def _check_number(name: str, value: object, allowed: Mapping[str, Any]) -> None:
        if value is None and name == "mtu":
            return
        wanted = int if isinstance(allowed["low"], int) and "seconds" not in allowed["unit"] else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise TypeError(f"{name}={value!r}: expected a number of {allowed['unit']}")
        if not allowed["low"] <= value <= allowed["high"]:
            raise ValueError(f"{name}={value!r}: expected {allowed['low']} to {allowed['high']} {allowed['unit']}")

    def but(self, **changes: Any) -> UTPConfig:
        """
        A copy with some settings changed.

        @raise ValueError: see the class.
        @raise TypeError: also when there is no such setting.
        """
        known = {field.name for field in fields(self)}
        for name in changes:
            if name not in known:
                raise TypeError(f"{name}: no such setting; there are {', '.join(sorted(known))}")
        return replace(self, **changes)
