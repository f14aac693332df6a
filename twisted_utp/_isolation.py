"""
What becomes of an error in code that is not ours: a callback, a factory, a tracer?

It is logged, and it ends what it belongs to.  It never reaches the reactor, which would close the UDP port, and with it
all other connections: dials share one.

As Twisted's reactors do for TCP (C{_doReadOrWrite} in C{posixbase} and C{selectreactor}), C{BaseException} is caught:
C{SystemExit} and C{KeyboardInterrupt} in C{dataReceived} end that connection, and the program goes on.  So on every
reactor, the asyncio reactor included, which treats them otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()


def guarded(whose: str, function: Callable[..., object], *args: Any, **keywords: Any) -> Failure | None:
    """
    Call something that is not ours.

    @param whose: what failed, for the log: C{"stopFactory of Chat"}.
    @return: what it raised, which has been logged.
    """
    try:
        function(*args, **keywords)
    except BaseException:
        failure = Failure()
        _log.failure("uTP: unhandled error in {whose}", failure, whose=whose)
        return failure
    return None


def name_of(thing: object) -> str:
    """
    The class of something that is not ours, for the log.
    """
    return type(thing).__name__
