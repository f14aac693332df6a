"""
Tells losses by chance, as on the air, from those of a queue that overflows.

Who reads or sends many packets at a time makes an overflow worse, and changes nothing about chance.  A queue that
overflows stands before it does, and drops the end of a burst, several packets in a row.  Chance takes them one by one.
Both signs count: a queue of a millisecond cannot be told from jitter, and one that drops early, as CoDel does, takes
single packets.
"""

from __future__ import annotations

from twisted_utp.proto.constants import CHANCE_IN_A_ROW, CHANCE_QUEUE


def is_by_chance(queue: int, in_a_row: int) -> bool:
    """
    Were packets lost by chance?

    @param queue: what stands in the queue, µs.
    @param in_a_row: how many with consecutive numbers are missing.
    """
    return queue <= CHANCE_QUEUE and in_a_row <= CHANCE_IN_A_ROW


def missing_in_a_row(mask: int) -> int:
    """
    How many packets are missing in a row, at the most, as a selective ack tells?

    @param mask: bit i is 1 if ack_nr + 2 + i has arrived; ack_nr + 1 is missing.
    @return: a number up to L{CHANCE_IN_A_ROW}, or one more for all beyond.
    """
    holes = ~(mask << 1) & (1 << mask.bit_length()) - 1
    count = 0
    while holes and count <= CHANCE_IN_A_ROW:
        holes &= holes >> 1
        count += 1
    return count
