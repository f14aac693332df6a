"""
Finds a connection by its id.

Connections are found by (address, receive id).  One that dials may have several ids, one for each SYN; a NAT may move
one to another port.  Nothing here takes longer the more connections there are, but for what says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.constants import MAX_REBIND_CANDIDATES, REBIND_INDEX_AGE, SEQ_MASK
from twisted_utp.proto.half_open import HalfOpenTable
from twisted_utp.proto.states import State
from twisted_utp.proto.values import Address

if TYPE_CHECKING:
    from random import Random

    from twisted_utp.proto.connection import Connection

Key = tuple[Address, int]

# Random connection ids that are tried before they are gone through in order.
_RANDOM_TRIES = 64


class ConnectionTable:
    """
    The connections of one UDP port.

    @ivar by_key: by the peer's address and the receive id; a connection may be there more than once.
    @ivar half_open: SYNs whose senders have proved nothing yet; no connections, but their ids are in use.
    @ivar lingering: those that only repeat their last answer, if the peer has missed it.
    @ivar dialling: those whose SYN has no answer yet, by the peer's address.
    """

    __slots__ = (
        "_host_index",
        "_indexed_at",
        "_other_count",
        "_other_ids",
        "_rng",
        "by_key",
        "dialling",
        "half_open",
        "lingering",
    )

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.by_key: dict[Key, Connection] = {}
        self.half_open = HalfOpenTable()
        self.lingering: set[Connection] = set()
        self.dialling: dict[Address, dict[Connection, None]] = {}
        self._other_ids: dict[Connection, list[int]] = {}  # of SYNs sent before the latest
        self._other_count = 0  # of all of them together
        self._host_index: dict[tuple[str, int], list[Address]] = {}
        self._indexed_at = -REBIND_INDEX_AGE

    def __len__(self) -> int:
        return len(self.by_key) - self._other_count

    def all(self) -> set[Connection]:
        """
        Each connection once.  Goes through all of them.
        """
        return set(self.by_key.values())

    def get(self, address: Address, recv_id: int) -> Connection | None:
        """
        Whose packets have this id.
        """
        return self.by_key.get((address, recv_id))

    def add(self, connection: Connection) -> None:
        """
        Let it be found by its address and receive id.
        """
        self.by_key[connection.address, connection.recv_id] = connection
        if connection.state is State.SYN_SENT:
            self.dialling.setdefault(connection.address, {})[connection] = None

    def drop(self, connection: Connection) -> None:
        """
        Forget all its ids.
        """
        if self.dialling:
            self.end_dialling(connection)
        self.lingering.discard(connection)
        key = (connection.address, connection.recv_id)
        if self.by_key.get(key) is connection:  # else it is dropped already, and another one has its id
            del self.by_key[key]
        if self._other_ids:
            self._drop_other_ids(connection)

    def move(self, connection: Connection, address: Address) -> None:
        """
        Its peer has another port from now on.
        """
        del self.by_key[connection.address, connection.recv_id]
        self.by_key[address, connection.recv_id] = connection

    def sending_with(self, address: Address, send_id: int) -> Connection | None:
        """
        The connection whose own packets have this id.
        """
        for neighbour in (send_id - 1 & SEQ_MASK, send_id + 1 & SEQ_MASK):
            connection = self.by_key.get((address, neighbour))
            if connection is not None and connection.send_id == send_id:
                return connection
        return None

    def with_host(self, host: str, recv_id: int, now: int) -> list[Connection]:
        """
        Connections of that host, on whatever port, with this id; some of them where a host has given one id to many.

        The index goes through all connections, so it is made at most each L{REBIND_INDEX_AGE}; younger connections are
        not in it, and a peer whose NAT forgets it that soon repeats what it sends.
        """
        if now - self._indexed_at >= REBIND_INDEX_AGE:
            self._indexed_at = now
            self._host_index = {}
            for address, known_id in self.by_key:
                alike = self._host_index.setdefault((address[0], known_id), [])
                if len(alike) < MAX_REBIND_CANDIDATES:
                    alike.append(address)
        addresses = self._host_index.get((host, recv_id), ())
        return [self.by_key[address, recv_id] for address in addresses if (address, recv_id) in self.by_key]

    # --- Dialling ----------------------------------------------------------------------------------------------

    def free_id(self, address: Address) -> int:
        """
        An id such that neither it nor its neighbours, which are the peer's view of it, are in use with that
        address in either role.

        @raise LookupError: when there is none left, which takes more than 16,000 connections with one address.
        """
        for tried in range(_RANDOM_TRIES + (1 << 16)):
            # Drawn one by one: what follows from the same randomness must not depend on how many were drawn in vain.
            recv_id = self._rng.getrandbits(16) if tried < _RANDOM_TRIES else tried - _RANDOM_TRIES
            for offset in (-1, 0, 1, 2):
                key = (address, recv_id + offset & SEQ_MASK)
                if key in self.by_key or key in self.half_open.by_key:
                    break
            else:
                return recv_id
        raise LookupError(f"no connection id is free with {address[0]}:{address[1]}")

    def another_id(self, connection: Connection) -> int:
        """
        A fresh receive id for a connection that is still dialling; answers to its earlier ones still reach it.
        Its own once more when there is none.
        """
        try:
            recv_id = self.free_id(connection.address)
        except LookupError:
            return connection.recv_id
        self._other_ids.setdefault(connection, []).append(connection.recv_id)
        self._other_count += 1
        self.by_key[connection.address, recv_id] = connection
        return recv_id

    def adopt_id(self, connection: Connection, recv_id: int) -> None:
        """
        An answer to one of several SYNs: from now on its id is the connection's.
        """
        if connection.recv_id != recv_id and connection.state is State.SYN_SENT:
            self._other_ids[connection].append(connection.recv_id)
            self._other_ids[connection].remove(recv_id)
            connection.recv_id = recv_id
            connection.send_id = recv_id + 1 & SEQ_MASK

    def forget_other_ids(self, connection: Connection) -> None:
        """
        The connection is open, on its C{recv_id}.
        """
        self.end_dialling(connection)
        if self._other_ids:
            self._drop_other_ids(connection)

    def _drop_other_ids(self, connection: Connection) -> None:
        others = self._other_ids.pop(connection, ())
        self._other_count -= len(others)
        for recv_id in others:
            self.by_key.pop((connection.address, recv_id), None)

    def end_dialling(self, connection: Connection) -> None:
        """
        Its SYN waits for no answer any more.
        """
        waiting = self.dialling.get(connection.address)
        if waiting is not None and connection in waiting:
            del waiting[connection]
            if not waiting:
                del self.dialling[connection.address]
