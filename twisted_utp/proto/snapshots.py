"""
How does a connection's inside become a L{ConnectionStats}?

Counting is cheap and always on; adding up is done here, when somebody asks.  This file reads what is private to the
connection so that it need not be public.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.stats import ConnectionStats

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection


def snapshot(connection: Connection) -> ConnectionStats:
    """
    A connection at this moment.
    """
    receiver = connection.receiver
    return ConnectionStats(
        state=connection.state.name,
        bytes_received=connection._bytes_received,
        packets_received=connection._packets_received,
        packets_duplicate=receiver.duplicates,
        packets_invalid=connection._packets_invalid,
        acks_sent=connection._acks_sent,
        receive_window=receiver.window(),
        peer_is_ours=connection.peer_is_ours,
        **connection.sender.snapshot(),
    )
