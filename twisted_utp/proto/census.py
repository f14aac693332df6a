"""
How many connections are there, and with whom?

Those that only linger to answer a peer's repeated packets are nobody's any more: they are not counted here.
"""

from __future__ import annotations

from twisted_utp.proto.acceptance import PortLoad


class Census:
    """
    Counts that cost no search.

    @ivar connections: see L{PortLoad}, as C{half_open}.
    """

    __slots__ = ("_by_host", "connections", "half_open")

    def __init__(self) -> None:
        self.connections = 0
        self.half_open = 0
        self._by_host: dict[str, int] = {}

    def enter(self, host: str) -> None:
        """
        A connection with that host begins.
        """
        self.connections += 1
        self._by_host[host] = self._by_host.get(host, 0) + 1

    def leave(self, host: str) -> None:
        """
        Its user has heard the last of it.
        """
        self.connections -= 1
        left = self._by_host[host] - 1
        if left:
            self._by_host[host] = left
        else:
            del self._by_host[host]

    def with_host(self, host: str) -> int:
        """
        Connections with one host.
        """
        return self._by_host.get(host, 0)

    def load(self, host: str) -> PortLoad:
        """
        What an L{AcceptPolicy <twisted_utp.proto.acceptance.AcceptPolicy>} is shown.
        """
        return PortLoad(self.connections, self.half_open, self.with_host(host))
