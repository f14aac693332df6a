"""
What a simulated reactor does not have: TCP, TLS over it, UNIX sockets, threads and processes.

Each is refused where it is asked for, with the name of what to use instead.  Otherwise an application would fail with
an C{AttributeError} far from the line that chose the wrong endpoint, or reach for the real network.
"""

from __future__ import annotations

from typing import Any, NoReturn

from twisted.internet import error

_ONLY_UDP = "a simulated reactor has no {what}, only UDP; {instead}"
_LISTEN = 'listen with UTPServerEndpoint(reactor, {port!r}) or serverFromString(reactor, "utp:{port}")'
_CONNECT = (
    'connect with UTPClientEndpoint(reactor, {host!r}, {port!r}) or clientFromString(reactor, "utp:{host}:{port}")'
)


class ListeningNotSimulated(error.CannotListenError, NotImplementedError):
    """
    An application wants to listen on something other than UDP.
    """


class ConnectingNotSimulated(error.ConnectError, NotImplementedError):
    """
    An application wants to connect by something other than UDP.
    """


def _cannot_listen(what: str, port: object, interface: str, instead: str = _LISTEN) -> NoReturn:
    reason = _ONLY_UDP.format(what=what, instead=instead.format(port=port))
    raise ListeningNotSimulated(interface, port, reason)


def _cannot_connect(what: str, host: object, port: object, instead: str = _CONNECT) -> NoReturn:
    raise ConnectingNotSimulated(string=_ONLY_UDP.format(what=what, instead=instead.format(host=host, port=port)))


class NotSimulated:
    """
    The methods of real reactors that a simulated one refuses.
    """

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> NoReturn:
        """
        @raise ListeningNotSimulated: always.
        """
        _cannot_listen("TCP", port, interface)

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None) -> NoReturn:
        """
        @raise ConnectingNotSimulated: always.
        """
        _cannot_connect("TCP", host, port)

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> NoReturn:
        """
        @raise ListeningNotSimulated: always.
        """
        _cannot_listen("TLS over TCP", port, interface, 'listen with serverFromString(reactor, "utps:{port}:...")')

    def connectSSL(
        self, host: str, port: int, factory: Any, contextFactory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> NoReturn:
        """
        @raise ConnectingNotSimulated: always.
        """
        instead = 'connect with clientFromString(reactor, "utps:{host}:{port}")'
        _cannot_connect("TLS over TCP", host, port, instead)

    def listenUNIX(
        self, address: str, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> NoReturn:
        """
        @raise ListeningNotSimulated: always.
        """
        _cannot_listen("UNIX sockets", address, "", "listen with UTPServerEndpoint(reactor, PORT)")

    def connectUNIX(self, address: str, factory: Any, timeout: float = 30, checkPID: bool = False) -> NoReturn:
        """
        @raise ConnectingNotSimulated: always.
        """
        _cannot_connect("UNIX sockets", address, "", "connect with UTPClientEndpoint(reactor, HOST, PORT)")

    def callInThread(self, callable: Any, *args: object, **kwargs: object) -> NoReturn:
        """
        @raise NotImplementedError: always.
        """
        raise NotImplementedError("a simulated reactor has no threads, whose time is real; call the function itself")

    def getThreadPool(self) -> NoReturn:
        """
        @raise NotImplementedError: always.
        """
        self.callInThread(None)

    def spawnProcess(self, processProtocol: Any, executable: Any, *args: Any, **kwargs: Any) -> NoReturn:
        """
        @raise NotImplementedError: always.
        """
        raise NotImplementedError("a simulated reactor has no processes, whose time is real; test with a real reactor")
