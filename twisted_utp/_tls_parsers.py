"""
What C{utps:} means to C{serverFromString} and C{clientFromString}.

C{utp:} with TLS over it, and with the keys of Twisted's own C{ssl:} and C{tls:} strings.  What does the work is
imported when it is needed, see L{twisted_utp._parsers}.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer

from twisted_utp._parsers import CLIENT_KEYS, NOT_FOR_CLIENTS, SERVER_KEYS, UTPClientParser, UTPServerParser, refuse

if TYPE_CHECKING:
    from twisted_utp._tls_endpoints import TLSClientEndpoint, TLSServerEndpoint

# The keys that C{ssl:} and, for "path", C{tls:} servers have, and those of C{ssl:} and C{tls:} clients.
_BOTH_KEYS = ("certKey", "certificate", "privateKey", "handshakeTimeout")
SERVER_TLS_KEYS = (*_BOTH_KEYS, "dhParameters", "extraCertChain", "path", "sslmethod")
CLIENT_TLS_KEYS = (*_BOTH_KEYS, "caCertsDir", "hostname", "trustRoots")

# Twisted's strings call the same thing by two names; both are understood, everywhere.
_OTHER_NAMES = {"caCertsDir": "trustRoots", "certKey": "certificate"}


@implementer(IPlugin, IStreamServerEndpointStringParser)
class UTPSServerParser:
    """
    C{utps:PORT:privateKey=FILE[:certificate=FILE][:extraCertChain=FILE][:dhParameters=FILE][:sslmethod=NAME]}, or
    C{utps:PORT:path=DIRECTORY}, also C{:handshakeTimeout=SECONDS}, and all that C{utp:PORT} takes.

    @ivar prefix: what the string begins with.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._below = UTPServerParser(prefix)

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> TLSServerEndpoint:
        """
        See L{IStreamServerEndpointStringParser.parseStreamServer}.

        @raise ValueError: naming the key, the value and what is allowed; also when a file cannot be used.
        """
        _need_openssl(self.prefix)
        from twisted_utp._settings import setting_keys
        from twisted_utp._tls_endpoints import TLSServerEndpoint
        from twisted_utp._tls_reloading import server_credentials

        tls, rest = _divide(kwargs, SERVER_TLS_KEYS, (*SERVER_KEYS, *setting_keys("backlog")))
        timeout = _handshake_timeout(tls)
        below = self._below.parseStreamServer(reactor, *args, **rest)
        return TLSServerEndpoint(reactor, below, server_credentials(reactor, tls), timeout)


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class UTPSClientParser:
    """
    C{utps:HOST:PORT[:hostname=NAME][:trustRoots=PATH][:certificate=FILE[:privateKey=FILE]][:handshakeTimeout=SECONDS]},
    and all that C{utp:HOST:PORT} takes.

    @ivar prefix: what the string begins with.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._below = UTPClientParser(prefix)

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> TLSClientEndpoint:
        """
        See L{IStreamClientEndpointStringParserWithReactor.parseStreamClient}.

        @raise ValueError: naming the key, the value and what is allowed; also when a file cannot be used.
        """
        _need_openssl(self.prefix)
        from twisted_utp._settings import setting_keys
        from twisted_utp._tls_credentials import client_credentials
        from twisted_utp._tls_endpoints import TLSClientEndpoint

        refuse(kwargs, NOT_FOR_CLIENTS)
        allowed = (*CLIENT_KEYS, *setting_keys("timeout"))
        tls, rest = _divide(kwargs, CLIENT_TLS_KEYS, allowed)
        timeout = _handshake_timeout(tls)
        below = self._below.parseStreamClient(reactor, *args, **rest)
        host = rest["host"] if "host" in rest else args[0]
        return TLSClientEndpoint(reactor, below, client_credentials(host, tls), timeout)


def _need_openssl(prefix: str) -> None:
    for module in ("OpenSSL", "service_identity"):
        if find_spec(module) is None:
            raise ValueError(f"{prefix}: TLS needs {module}; pip install 'twisted-utp[tls]'")


def _handshake_timeout(given: dict[str, str]) -> float:
    """
    Take it out of the keys.
    """
    from twisted_utp._tls_handshake import DEFAULT_HANDSHAKE_TIMEOUT, MAX_HANDSHAKE_TIMEOUT

    text = given.pop("handshakeTimeout", None)
    if text is None:
        return DEFAULT_HANDSHAKE_TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_HANDSHAKE_TIMEOUT:
        raise ValueError(f"handshakeTimeout={text!r}: expected 0 to {MAX_HANDSHAKE_TIMEOUT:g} seconds (0 for no limit)")
    return seconds


def _divide(given: dict[str, str], ours: Iterable[str], others: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """
    The keys that are about TLS, and the rest.

    @raise ValueError: on a key that is neither, and on two that mean the same.
    """
    for key in given:
        if key not in ours and key not in others:
            from twisted_utp._hints import for_key

            raise ValueError(f"{key}={given[key]!r}: no such key; {for_key(key, {*ours, *others})}")
    for other, name in _OTHER_NAMES.items():
        if other in given and name in given:
            raise ValueError(f"{other}={given[other]!r}: the same as {name}, which is given as well")
    tls = {key: value for key, value in given.items() if key in ours}
    return tls, {key: value for key, value in given.items() if key not in ours}
