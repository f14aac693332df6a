"""
Settings that may change while a connection lives, and what follows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted_utp.proto import receive_limit
from twisted_utp.proto.config import UTPConfig, microseconds

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection

CHANGEABLE = frozenset(
    (
        "keepalive",
        "linger",
        "max_in_flight",
        "max_rate",
        "max_receive_rate",
        "max_send_rate",
        "no_delay",
        "receive_buffer",
        "send_buffer",
        "shutdown_timeout",
        "stall_timeout",
        "target_delay",
        "user_timeout",
    )
)
"""The others are built into what a connection is made of, or belong to the port."""


def reconfigure(connection: Connection, changes: Mapping[str, Any], *, now: int) -> UTPConfig:
    """
    Change settings of a connection.  It has them at once; a smaller receive buffer is shown to the peer as it drains.

    @param now: µs.
    @return: its settings now.
    @raise ValueError: on a value out of range, or a setting that cannot change any more; then none has changed.
    @raise TypeError: on a value of the wrong type, or when there is no such setting.
    """
    config = connection.config.replace(**changes)
    fixed = sorted(changes.keys() - CHANGEABLE)
    if fixed:
        raise ValueError(f"{fixed[0]}: cannot change while connected; {', '.join(sorted(CHANGEABLE))} can")
    connection.config = config
    sender, receiver = connection.sender, connection.receiver
    sender.max_in_flight = config.max_in_flight
    if "target_delay" in changes:
        sender.congestion.on_target_delay(microseconds(config.target_delay))
    if "receive_buffer" in changes:
        receiver.capacity = config.receive_buffer
    if "stall_timeout" in changes:
        sender.set_stall_timeout(microseconds(config.stall_timeout), now)
    if "keepalive" in changes:
        connection.set_keepalive(config.keepalive, now=now)
    if "no_delay" in changes:
        connection.set_no_delay(config.no_delay, now=now)
    connection.port_queues.rates.attach(connection)
    receive_limit.advance(connection, now)
    connection.settings_changed()
    return config
