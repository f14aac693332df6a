"""
Repeats an acknowledgement when packets are missing and nothing arrives any more.

We acknowledge when something arrives, and then say nothing more: it is the sender who repeats what is lost.  libtorrent
may not.  After a timeout of its own it can come to wait for an acknowledgement before it sends anything, and when that
was the last one, or lost, both sides wait until it gives up a minute later.  A keepalive would not help: it names no
packet past the gap.  So the acknowledgement is repeated, with its selective ack, three times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto import delayed_ack
from twisted_utp.proto.constants import GAP_REMINDER, MAX_GAP_REMINDERS
from twisted_utp.proto.timers import Timer

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection


def arm(connection: Connection, now: int) -> None:
    """
    An acknowledgement has told of a gap: say it again unless something comes.
    """
    if connection.sender.is_confirmed and connection.gap_reminders < MAX_GAP_REMINDERS:
        connection.timers[Timer.GAP] = now + (GAP_REMINDER << connection.gap_reminders)


def on_timer(connection: Connection) -> None:
    """
    Nothing has come.
    """
    if connection.receiver.has_gap:
        connection.gap_reminders += 1
        delayed_ack.at_once(connection)
