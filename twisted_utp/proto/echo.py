"""
Checks that the sender of a packet reads what we send to it.

A packet has its sender's C{timestamp}, and in C{timestamp_difference} the sender's clock less ours when our last packet
arrived there.  Their difference is the timestamp of that packet of ours plus the time for which the sender kept it:
both are taken from one clock, whatever it shows.  So our own time less that is the round trip, and no more::

    age = our clock - (timestamp - timestamp_difference)

As in RFC 7323 (5.4), each connection's packets carry our clock plus a random offset.  Then only somebody who reads our
packets can produce a small age: who guesses is right once in some 520 packets, beside all else that he must
guess.  libutp, libtorrent and their descendants give the echo without knowing it.

Peers that send no difference, or a clock of another unit, fail this without being at fault.  To them, stricter limits
apply: see L{twisted_utp.proto.proof} and L{twisted_utp.proto.withholding}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.constants import MAX_ECHO_AGE, MAX_ECHO_EARLY, TIMESTAMP_MASK

if TYPE_CHECKING:
    from twisted_utp.proto.packet import Packet


def echo_age(packet: Packet, clock_offset: int, now: int) -> int:
    """
    How long ago did the packet of ours leave that this one answers, µs?  Less the time for which the peer kept it;
    modulo 2^32.

    @param clock_offset: of our timestamps; C{now} in µs is without it.
    """
    return now + clock_offset - packet.timestamp + packet.timestamp_difference & TIMESTAMP_MASK


def is_fresh(
    timestamp: int, timestamp_difference: int, clock_offset: int, now: int, max_age: int = MAX_ECHO_AGE
) -> bool:
    """
    Has the sender of a packet with these two fields read one of ours, as far as a round trip of C{max_age} µs?

    @param clock_offset: of our timestamps; C{now} in µs is without it.
    """
    age = now + clock_offset - timestamp + timestamp_difference + MAX_ECHO_EARLY
    return age & TIMESTAMP_MASK <= max_age + MAX_ECHO_EARLY
