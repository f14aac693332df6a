"""
Contains errors in code that is not ours: callbacks, factories, tracers.

It is logged, and it ends what it belongs to.  It never reaches the reactor, which would close the UDP port, and with it
all other connections: dials share one.

As Twisted's reactors do for TCP (C{_doReadOrWrite} in C{posixbase} and C{selectreactor}), C{BaseException} is caught:
C{SystemExit} and C{KeyboardInterrupt} in C{dataReceived} end that connection, and the program goes on.  So on every
reactor, the asyncio reactor included, which treats them otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import ILoggingContext
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_utp._addresses import peer_of
from twisted_utp.proto.acceptance import AcceptPolicy, PortLoad, Verdict

if TYPE_CHECKING:
    from twisted.internet.address import IPv4Address, IPv6Address

    from twisted_utp.proto.values import Address

_log = Logger()

PeerPolicy = Callable[["IPv4Address | IPv6Address", PortLoad], "Verdict | bool"]


class Throttle:
    """
    Lets the first of many messages pass, and then one in an interval.
    """

    def __init__(self, interval: int, clock: Callable[[], int]) -> None:
        """
        @param interval: seconds.
        @param clock: the time in µs.
        """
        self._interval = interval * 1_000_000
        self._clock = clock
        self._last: int | None = None

    def allows(self) -> bool:
        """
        May this one pass?
        """
        now = self._clock()
        if self._last is not None and now - self._last < self._interval:
            return False
        self._last = now
        return True


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


def log_prefix(thing: object) -> str:
    """
    How Twisted's log calls a protocol or a factory.
    """
    try:
        return str(thing.logPrefix()) if ILoggingContext.providedBy(thing) else name_of(thing)
    except BaseException:
        _log.failure("uTP: unhandled error in logPrefix of {thing}", thing=name_of(thing))
        return "(buggy logPrefix method)"  # what log.callWithLogger calls it


def guarded_policy(policy: PeerPolicy) -> AcceptPolicy:
    """
    An accept policy for the core: it does not raise, and gives nothing but verdicts.  A SYN that it cannot judge is
    left unanswered.
    """

    def judge(address: Address, load: PortLoad) -> Verdict | bool:
        try:
            verdict = policy(peer_of(address), load)
            if not isinstance(verdict, (Verdict, bool)):
                raise TypeError(f"the accept policy returned {verdict!r}: expected a Verdict, True or False")
        except BaseException:
            _log.failure("unhandled error in the accept policy")
            return Verdict.SILENCE
        return verdict

    return judge
