"""
The exceptions that tell an application why its connection ended, or was never made.

Each is, or is a kind of, the one that Twisted's TCP raises, because applications C{reason.check()} those.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from errno import ECONNREFUSED, EHOSTUNREACH

from twisted.internet import error

from twisted_utp.proto.events import ConnectionLost, LossReason


class UTPConnectionReset(error.ConnectionLost):
    """
    The peer reset the connection.

    @ivar close_code: libtorrent's close reason, 0 when the peer gave none.
    """

    def __init__(self, close_code: int = 0) -> None:
        super().__init__(f"reset by the peer, close reason {close_code}" if close_code else "reset by the peer")
        self.close_code = close_code


class UTPConnectBindError(error.ConnectBindError, error.CannotListenError):
    """
    There is no UDP port to connect from: C{bindAddress} or C{bindPort} is taken, or not ours.

    For clients Twisted's TCP has C{ConnectBindError}; C{CannotListenError} has the details.
    """

    def __init__(self, reason: error.CannotListenError) -> None:
        error.CannotListenError.__init__(self, reason.interface, reason.port, reason.socketError)
        self.osError = getattr(reason.socketError, "errno", None)

    __str__ = error.CannotListenError.__str__


class UTPConnectionDone(error.ConnectionDone):
    """
    The connection was closed cleanly, and the peer said why.

    @ivar close_code: libtorrent's close reason.
    """

    def __init__(self, close_code: int) -> None:
        super().__init__(f"close reason {close_code}")
        self.close_code = close_code


class UTPConnectionTimedOut(error.ConnectionLost, error.TimeoutError):
    """
    The peer stopped answering.
    """

    def __init__(self) -> None:
        error.TimeoutError.__init__(self)
        self.args = ("the peer stopped answering",)


class UTPPeerForged(error.ConnectionLost):
    """
    The peer acknowledged what it was never sent, so it does not read what it is sent: somebody uses its address.
    """

    def __init__(self) -> None:
        super().__init__("the peer acknowledged data that it was never sent")


class UTPPeerVanished(UTPConnectionTimedOut):
    """
    The connection was idle, and the peer stopped answering keepalives.
    """

    def __init__(self) -> None:
        super().__init__()
        self.args = ("the peer stopped answering keepalives",)


class UTPHandshakeTimedOut(error.ConnectionLost, error.TimeoutError):
    """
    The TLS handshake did not end in time.
    """

    def __init__(self, seconds: float) -> None:
        error.TimeoutError.__init__(self)
        self.args = (f"no TLS handshake within {seconds:g} seconds",)


class UTPProxyError(error.ConnectError):
    """
    There is no way through the SOCKS5 proxy: it cannot be reached, does not let us in, relays no UDP, or has ended.

    @ivar proxy: which one, C{host:port}.
    @ivar reason: why, in words.
    @ivar code: its reply (RFC 1928 (6)); 0 when it gave none.
    """

    def __init__(self, proxy: str, reason: str, code: int = 0, osError: object = None) -> None:
        super().__init__(osError=osError, string=f"SOCKS5 proxy {proxy}: {reason}")
        self.proxy = proxy
        self.reason = reason
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


class UTPProxyTimedOut(UTPProxyError, error.TimeoutError):
    """
    The SOCKS5 proxy did not answer in time.
    """


class UTPProxyLost(error.ConnectionLost):
    """
    The SOCKS5 proxy that carried the connection relays nothing any more.

    @ivar cause: what happened to it.
    """

    def __init__(self, cause: UTPProxyError) -> None:
        super().__init__(str(cause))
        self.cause = cause

    def __str__(self) -> str:
        return str(self.args[0])


_LOSSES: Mapping[LossReason, Callable[[], Exception]] = {
    LossReason.DONE: error.ConnectionDone,
    LossReason.TIMED_OUT: UTPConnectionTimedOut,
    LossReason.VANISHED: UTPPeerVanished,
    LossReason.ABORTED: error.ConnectionAborted,
    LossReason.REFUSED: lambda: error.ConnectionRefusedError(ECONNREFUSED, os.strerror(ECONNREFUSED)),
    LossReason.CONNECT_TIMED_OUT: error.TimeoutError,
    LossReason.UNREACHABLE: lambda: error.NoRouteError(EHOSTUNREACH, os.strerror(EHOSTUNREACH)),
    LossReason.FORGED: UTPPeerForged,
    LossReason.FAULT: error.ConnectionLost,
}


def loss_exception(event: ConnectionLost) -> BaseException:
    """
    What C{connectionLost}, or the C{Deferred} of a connect that failed, is to be told: of a fault, what was raised.
    """
    if event.fault is not None:
        return event.fault
    if event.reason is LossReason.RESET:
        return UTPConnectionReset(event.close_code)
    if event.reason is LossReason.DONE and event.close_code:
        return UTPConnectionDone(event.close_code)
    return _LOSSES[event.reason]()


def port_end(why: Exception | None) -> tuple[Exception, Exception]:
    """
    What connections, and attempts to connect, are told when their UDP port is closed under them.

    @param why: what a proxy that carried the port has come to; L{None} when there is none, or all is well with it.
    """
    if isinstance(why, UTPProxyError):
        return UTPProxyLost(why), why
    return error.ConnectionLost(), error.ConnectError(string="the UDP port was closed")
