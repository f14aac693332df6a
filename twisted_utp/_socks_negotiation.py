"""
The control connection to a SOCKS5 proxy, until it relays UDP.

First how to log in, then the login if there is one (RFC 1929), then C{UDP ASSOCIATE} (RFC 1928 (3) to (6)).  This is
the state machine: bytes in, bytes out.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_utp.udp.addresses import ANY_IPV4, ANY_IPV6, unmapped
from twisted_utp.udp.socks_header import packed_address, unpacked_address

_VERSION, _LOGIN_VERSION = 5, 1
_NO_LOGIN, _USER_AND_PASSWORD, _NONE_OF_THESE = 0, 2, 255
_UDP_ASSOCIATE = 3

# The longest answer: version, reply, reserved, and an address with the longest name.
_MAX_ANSWER = 262

# RFC 1928 (6).
_REPLIES = {
    1: "general failure",
    2: "its rules do not allow it",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "it does not relay UDP",
    8: "it does not support this type of address",
}


class SocksRefused(Exception):
    """
    The proxy said no, or something that is not SOCKS5.

    @ivar code: its reply (RFC 1928 (6)); 0 when it gave none.
    """

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.code = code


class Negotiation:
    """
    One control connection's beginning.

    @ivar relay: where the proxy takes datagrams, once it has said so; its host may be C{0.0.0.0} or C{::}, which means
        the proxy's own.
    """

    def __init__(self, user: bytes = b"", password: bytes = b"") -> None:
        """
        @param user: up to 255 bytes; none to offer no login.
        @param password: up to 255 bytes.
        """
        self.relay: tuple[str, int] | None = None
        self._login = (user, password) if user else None
        self._received = b""
        self._any_host = ANY_IPV4
        self._next: Callable[[bytes], tuple[int, bytes] | None] = self._method

    def begin(self, proxy: str = "") -> bytes:
        """
        What to say first.

        @param proxy: its address on the control connection; C{""} when that has none.
        """
        self._any_host = ANY_IPV6 if ":" in unmapped(proxy) else ANY_IPV4
        methods = (_NO_LOGIN, _USER_AND_PASSWORD) if self._login else (_NO_LOGIN,)
        return bytes((_VERSION, len(methods), *methods))

    def receive(self, data: bytes) -> bytes:
        """
        What the proxy said.  After the end it may say what it likes.

        @return: what to answer.
        @raise SocksRefused: there will be no association.
        """
        answers = b""
        if self.relay is not None:
            return answers
        self._received += data[: _MAX_ANSWER * 3]
        while self.relay is None:
            step = self._next(self._received)
            if step is None:
                break
            used, answer = step
            self._received = self._received[used:]
            answers += answer
        return answers

    def _method(self, said: bytes) -> tuple[int, bytes] | None:
        if said and said[0] != _VERSION:
            raise SocksRefused("it does not speak SOCKS5")
        if len(said) < 2:
            return None
        if said[1] == _USER_AND_PASSWORD and self._login is not None:
            user, password = self._login
            self._next = self._logged_in
            return 2, bytes((_LOGIN_VERSION, len(user))) + user + bytes((len(password),)) + password
        if said[1] != _NO_LOGIN:
            wanted = "none of the login methods that we offer" if self._login else "no connection without a login"
            raise SocksRefused(f"it accepts {wanted}")
        return 2, self._associate()

    def _logged_in(self, said: bytes) -> tuple[int, bytes] | None:
        if said and said[0] != _LOGIN_VERSION:
            raise SocksRefused("it does not speak RFC 1929")
        if len(said) < 2:
            return None
        if said[1]:
            raise SocksRefused("it refused the user or the password")
        return 2, self._associate()

    def _associate(self) -> bytes:
        # Zeros stand for our address: behind a NAT we do not know which one the proxy will see (RFC 1928 (4)).  A proxy
        # that listens on IPv6 alone may refuse those of IPv4 (Dante does).
        self._next = self._associated
        return bytes((_VERSION, _UDP_ASSOCIATE, 0)) + packed_address(self._any_host, 0)

    def _associated(self, said: bytes) -> tuple[int, bytes] | None:
        if said and said[0] != _VERSION:
            raise SocksRefused("it does not speak SOCKS5")
        if len(said) > 1 and said[1]:
            code = said[1]
            raise SocksRefused(_REPLIES.get(code, f"reply {code}"), code)
        read = unpacked_address(said, 3)
        if read is None:
            if len(said) >= _MAX_ANSWER or (len(said) > 3 and said[3] not in (1, 3, 4)) or _has_bad_name(said):
                raise SocksRefused("its answer is malformed")
            return None
        host, port, used = read
        if said[3] == 3 or not port:
            raise SocksRefused(f"it gave no address for its relay, but {host!r}, port {port}")
        self.relay = host, port
        return used, b""


def _has_bad_name(said: bytes) -> bool:
    """
    Is all of a name there that could not be read?  More will not come.
    """
    return len(said) > 4 and said[3] == 3 and len(said) >= 7 + said[4]
