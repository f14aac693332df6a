"""
Writes what the core does to C{twisted.logger}.

Without it only errors are logged.  A L{LoggingTracer} logs events of the core (those of
docs/qlog.rst) at debug level, in one namespace for each kind, so that observers and C{LogLevelFilterPredicate} can
choose::

    twisted_utp.connection      connections that begin, change their state, end       (libutp's UTP_LOG_NORMAL)
    twisted_utp.mtu             path MTU                                              (UTP_LOG_MTU)
    twisted_utp.recovery        losses, timeouts, acknowledgements, windows           (UTP_LOG_DEBUG)
    twisted_utp.packet          every packet                                          (UTP_LOG_DEBUG)

Hand it to C{UTPProtocol(tracer=)}, or name kinds in the environment variable C{TWISTED_UTP_LOG}, C{connection,mtu} for
example, for ports that endpoint strings open.  Nothing is formatted unless an observer asks for the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted_utp.proto.values import Address

VARIABLE = "TWISTED_UTP_LOG"
"""Environment variable: kinds to log, separated by commas."""

_KINDS = {
    "connection_started": "connection",
    "connection_id_updated": "connection",
    "state_updated": "connection",
    "connection_closed": "connection",
    "packet_sent": "packet",
    "packet_received": "packet",
    "packet_dropped": "packet",
    "packets_acked": "recovery",
    "packet_lost": "recovery",
    "metrics_updated": "recovery",
    "congestion_state_updated": "recovery",
    "mtu_updated": "mtu",
    "timeout": "recovery",
    "timer_expired": "recovery",
}

KINDS = ("connection", "mtu", "recovery", "packet")
"""What can be logged."""


class LoggingTracer:
    """
    A L{Tracer <twisted_utp.proto.trace.Tracer>} that logs.
    """

    def __init__(self, kinds: Iterable[str] = KINDS) -> None:
        """
        @param kinds: some of L{KINDS}.
        @raise ValueError: when one is unknown.
        """
        self._loggers: dict[str, Logger] = {}
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"kinds: {kind!r}: expected some of {', '.join(KINDS)}")
            self._loggers[kind] = Logger(namespace=f"twisted_utp.{kind}")

    def __call__(self, now: int, address: Address, connection_id: int, event: str, **data: Any) -> None:
        """
        See L{Tracer <twisted_utp.proto.trace.Tracer>}.
        """
        logger = self._loggers.get(_KINDS.get(event, "packet"))
        if logger is not None:
            logger.debug(
                "{peer[0]}:{peer[1]} #{connection_id} {event} {data}",
                peer=address,
                connection_id=connection_id,
                event=event,
                data=data,
                microseconds=now,
            )
