"""
Chooses who traces the connections of a UDP port, when nobody has said so in code.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from twisted_utp._isolation import name_of

if TYPE_CHECKING:
    from twisted_utp.logs import LoggingTracer
    from twisted_utp.proto.config import UTPConfig
    from twisted_utp.proto.trace import Tracer
    from twisted_utp.proto.values import Address
    from twisted_utp.qlog import QlogTracer

VARIABLE = "TWISTED_UTP_TRACE"
"""Environment variable: a directory for the traces of connections whose settings name none."""


_log = Logger()


class GuardedTracer:
    """
    A tracer that is not ours.  The first thing that it raises is logged, and the last: it is told no more.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer: Tracer | None = tracer

    def __call__(self, now: int, address: Address, connection_id: int, event: str, **data: Any) -> None:
        """
        See L{Tracer <twisted_utp.proto.trace.Tracer>}.
        """
        tracer = self._tracer
        if tracer is None:
            return
        try:
            tracer(now, address, connection_id, event, **data)
        except BaseException:
            self._tracer = None
            _log.failure("uTP: unhandled error in the tracer {tracer}; it is not called again", tracer=name_of(tracer))


class PortTracing:
    """
    The tracers of one UDP port: the one that it was given, or one for each directory that was asked for.
    """

    def __init__(self, tracer: Tracer | None, epoch: Callable[[], int]) -> None:
        """
        @param tracer: takes the place of all others.
        @param epoch: see L{QlogTracer}.
        """
        self._tracer = None if tracer is None else GuardedTracer(tracer)
        self._epoch = epoch
        self._directories: dict[str, QlogTracer] = {}

    def tracer_for(self, config: UTPConfig) -> Tracer | None:
        """
        Whom to tell of connections with these settings.
        """
        if self._tracer is not None:
            return self._tracer
        written, logged = self._qlog_for(config), self._logging()
        if written is None or logged is None:
            return written if logged is None else logged

        def both(now: int, address: Address, connection_id: int, event: str, **data: Any) -> None:
            written(now, address, connection_id, event, **data)
            logged(now, address, connection_id, event, **data)

        return both

    def _qlog_for(self, config: UTPConfig) -> QlogTracer | None:
        directory = config.trace or os.environ.get(VARIABLE, "")
        if not directory:
            return None
        if directory not in self._directories:
            from twisted_utp.qlog import QlogTracer

            self._directories[directory] = QlogTracer(directory, epoch=self._epoch)
        return self._directories[directory]

    @staticmethod
    def _logging() -> LoggingTracer | None:
        kinds = os.environ.get("TWISTED_UTP_LOG", "")
        if not kinds:
            return None
        from twisted_utp.logs import LoggingTracer

        return LoggingTracer(kinds.split(","))

    def close(self) -> None:
        """
        Nothing more will happen to the connections that there are.
        """
        for tracer in self._directories.values():
            tracer.close()
