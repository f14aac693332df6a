"""
Runs ucat as a program.
"""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from twisted_utp.ucat.descriptors import fill_closed
from twisted_utp.ucat.options import parse
from twisted_utp.ucat.program import Program

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run it.

    @param arguments: the command line, without the program's name; the process's when L{None}.
    @return: the exit code.
    """
    fill_closed()
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        if options.verbose >= 3:
            _start_log()
        react(_run, (options,))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


def _run(reactor: Any, options: Namespace) -> Deferred[None]:
    program = Program(reactor, options)

    def start() -> None:
        # The reactor has set its own by now; ours know the connections.
        for number in _SIGNALS:
            signal.signal(number, lambda got, frame: reactor.callFromThread(program.interrupt, got))
        program.start()

    reactor.callWhenRunning(start)
    return program.finished.addCallback(_exit)


def _exit(code: int) -> None:
    if code:
        raise SystemExit(int(code))


def _start_log() -> None:
    from twisted.logger import globalLogBeginner, textFileLogObserver

    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
