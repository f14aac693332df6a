"""
The settings of a connection, and the range of each.

One frozen object for code and endpoint strings alike.  Every value is checked when it is set: a C{ValueError}
names the setting, the value and what is allowed.  Times are seconds, as everywhere in Twisted; the core turns
them into microseconds itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
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

    @ivar congestion: the name of the congestion controller, see L{register_congestion_controller
        <twisted_utp.proto.congestion.base.register_congestion_controller>}.
    @ivar target_delay: seconds of queueing delay that a delay-based controller aims for at the most, 0.005 to 1.
        C{scavenger} aims for as little as the path allows, 5 ms or two packets' time where nothing jitters, and never
        for more than 60 ms.  C{ledbat} and C{ledbat++} aim for just this (RFC 6817, TARGET); with C{ledbat++} the
        default stands for 60 ms, as its draft has it.  A lower value delays others less where the scavenger's path
        jitters, and everywhere with the LEDBATs; on paths that jitter, less of the link is used.
    @ivar receive_buffer: bytes that the peer may have in flight to us, or that may wait for a paused reader: what
        C{wnd_size} announces.  16 KiB to 64 MiB.
    @ivar send_buffer: bytes written and not yet sent, beyond which producers are paused.  4 KiB to 64 MiB.
    @ivar max_in_flight: bytes sent and not yet acknowledged, however large a window the peer announces.  They are
        kept for retransmission as long as the peer likes, so this bounds memory; and it bounds the rate to so many
        bytes a round trip.  16 KiB to 64 MiB.
    @ivar mtu: UDP payload of full packets in bytes, 150 to 65507; L{None} to start with what every path carries,
        and to discover the rest.
    @ivar keepalive: seconds of silence after which the peer is asked for an answer, which also refreshes a NAT's
        mapping; 0 switches it off.  A peer that does not answer for C{user_timeout} is gone.
    @ivar connect_timeout: seconds after which a connect without an answer fails, 0.1 to 3600.
    @ivar user_timeout: seconds without an acknowledgement, while retransmitting, after which the peer is gone (RFC
        5482), 1 to 3600.
    @ivar min_rto: seconds: the floor of the retransmission timeout (RFC 6298), 0.01 to 10.
    @ivar no_delay: C{True} sends every small write at once; C{False} coalesces small writes while small packets are
        in flight.
    @ivar pacing: C{True} spreads a window over the round trip; C{False} sends as soon as the window allows.
    @ivar backlog: half-open connections of a port: SYNs that were answered, and whose senders have not yet
        confirmed their address by a second packet.  Beyond it SYNs are answered without any state, see
        L{twisted_utp.proto.syn_cookies}.
    @ivar max_connections: connections on one UDP port, dialled or accepted; a SYN beyond it is refused.
        Connections that have ended and only answer repeated packets do not count, up to as many again.
    @ivar max_per_host: connections with one host (one /64 of IPv6), whatever its port; a SYN beyond it is refused.
        Only peers that have confirmed their address count.  Many users may share a host's address (NAT).
    @ivar refuse_silently: C{True} leaves refused SYNs unanswered; C{False} answers them with RESET.
    @ivar early_byte: C{True} sends one byte to a peer that has connected and keeps silent, for protocols in which
        the server speaks first: a libutp initiator confirms its address only then, or after 29 s.  The cost: forged
        SYNs make us send twice their bytes, and an application hears of peers of other kinds before they have
        confirmed their address.
    @ivar stall_timeout: seconds in which a peer that does answer must take 100 bytes a second on average, at least
        6,000 in all, or everything that waits for it; otherwise it is gone.  0 waits for ever.
    @ivar linger: seconds that data may take to arrive once the connection is closed; then it is reset.  0 for as
        long as the peer acknowledges.
    @ivar shutdown_timeout: seconds for which a reactor that stops waits for closed connections to deliver what was
        written; 0 for none.  It does not wait when there is nothing to deliver.
    @ivar max_rate: bytes a second that the connection may send, and as many that it may receive; 0 for no limit.
        Payload counts, retransmissions included; headers do not (3 % of full packets).  Of several limits the
        lowest holds.
    @ivar max_send_rate: bytes a second that the connection may send; 0 for no limit.
    @ivar max_receive_rate: bytes a second that the connection may receive; 0 for no limit.  The receive window
        enforces it.
    @ivar max_port_rate: bytes a second that all connections of a UDP port together may send, and as many that they
        may receive; 0 for no limit.  They take turns.
    @ivar max_port_send_rate: bytes a second that all connections of a UDP port together may send; 0 for no limit.
    @ivar max_port_receive_rate: bytes a second that all connections of a UDP port together may receive; 0 for no
        limit.
    @ivar trace: directory for a qlog trace of each connection, made when it is missing; empty for what the
        environment variable C{TWISTED_UTP_TRACE} says, and no trace when that is empty too.
    @raise ValueError: on a value outside its range, naming the setting and the range.
    @raise TypeError: on a value of the wrong type.
    """

    congestion: str = "scavenger"
    target_delay: float = DEFAULT_TARGET_DELAY
    receive_buffer: int = DEFAULT_RECEIVE_BUFFER
    send_buffer: int = DEFAULT_SEND_BUFFER
    max_in_flight: int = DEFAULT_MAX_IN_FLIGHT
    mtu: int | None = None
    keepalive: float = DEFAULT_KEEPALIVE
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    user_timeout: float = DEFAULT_USER_TIMEOUT
    min_rto: float = DEFAULT_MIN_RTO
    no_delay: bool = False
    pacing: bool = True
    backlog: int = DEFAULT_BACKLOG
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    max_per_host: int = DEFAULT_MAX_PER_HOST
    refuse_silently: bool = False
    early_byte: bool = False
    stall_timeout: float = DEFAULT_STALL_TIMEOUT
    linger: float = 0
    shutdown_timeout: float = DEFAULT_SHUTDOWN_TIMEOUT
    max_rate: int = 0
    max_send_rate: int = 0
    max_receive_rate: int = 0
    max_port_rate: int = 0
    max_port_send_rate: int = 0
    max_port_receive_rate: int = 0
    trace: str = ""

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

    def replace(self, **changes: Any) -> UTPConfig:
        """
        A copy with some settings changed.

        @raise ValueError: see the class.
        @raise TypeError: also when there is no such setting.
        """
        known = {field.name for field in fields(self)}
        for name in changes:
            if name not in known:
                near = get_close_matches(name.lower(), known, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
                raise TypeError(f"{name}: no such setting; {hint}")
        return replace(self, **changes)
