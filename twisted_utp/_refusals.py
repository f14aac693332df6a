"""
Remembers why the system refused to send packets to a peer.

Packets that it refuses are lost packets: interfaces come back.  But if the connection ends of that, its user is to hear
the system's reason, as from TCP, which remembers such errors and reports the last one (RFC 1122 (4.2.3.9)).
"""

from __future__ import annotations

from errno import EINVAL
from typing import TYPE_CHECKING

from twisted_utp.errors import UTPConnectionTimedOut

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection
    from twisted_utp.proto.values import Address

# Peers of which it is remembered.  One that is forgotten is said to have stopped answering, which is true as well.
REMEMBERED = 1024


class Refusals:
    """
    The last one of each peer, on one UDP port.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[Address, tuple[int, Exception]] = {}

    def note(self, address: Address, error: Exception, now: int) -> None:
        """
        A packet has not left.

        @param now: µs.
        """
        self._last.pop(address, None)
        if len(self._last) >= REMEMBERED:
            del self._last[next(iter(self._last))]
        self._last[address] = now, error

    def explain(self, connection: Connection, loss: BaseException) -> BaseException:
        """
        Add the system's reason, if the last packet of the connection was refused.

        @param loss: what its user is to be told.
        """
        at, error = self._last.get(connection.address, (-1, None))
        if error is not None and at >= connection.last_sent_at and isinstance(loss, UTPConnectionTimedOut):
            loss.args = (f"{loss.args[0]}: nothing can be sent to it: {_words(error, connection.address)}",)
        return loss


def _words(error: Exception, address: Address) -> str:
    """
    Linux calls an argument invalid that names an address which is no longer ours.
    """
    if isinstance(error, OSError) and error.errno == EINVAL and len(address) == 3:
        return f"our address {address[2]} is gone"
    return str(error)
