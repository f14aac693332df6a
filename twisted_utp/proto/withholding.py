"""
Catches peers that acknowledge what they have not received.

Whoever confirms a connection in somebody else's name by luck, and reads nothing, could acknowledge blindly and draw a
stream at his victim.  A peer that gives no timestamp echo (L{twisted_utp.proto.echo}) therefore does not get every
packet at once: now and then one, which one nobody can foresee, is not sent until its loss is noticed.  An honest peer
repairs that as it repairs any loss; a peer that acknowledges the packet before it was sent is cut off (RFC 9000 (21.4)
has the idea).
"""

from __future__ import annotations

from hashlib import blake2b

from twisted_utp.proto.constants import WITHHOLDING_FIRST, WITHHOLDING_LAST

NOTHING = -1


class Withholding:
    """
    Which packet is next.

    @ivar seq: its seq_nr, unwrapped; L{NOTHING} when there is none.
    @ivar is_held: it would have been sent, and was not.
    """

    __slots__ = ("_distance", "_key", "is_held", "seq")

    def __init__(self, secret: int, first_seq: int) -> None:
        """
        @param secret: 32 bits that the peer does not know.
        """
        self._key = secret.to_bytes(4, "big")
        self._distance = WITHHOLDING_FIRST
        self.is_held = False
        self.seq = self._choose(first_seq)

    def _choose(self, after: int) -> int:
        digest = blake2b(after.to_bytes(8, "big", signed=True), digest_size=2, key=self._key).digest()
        return after + self._distance + int.from_bytes(digest, "big") % self._distance

    def room(self, next_seq: int, count: int) -> int:
        """
        How many of C{count} new packets may go together: up to the one to be withheld, or that one alone.
        """
        if next_seq == self.seq:
            return 1
        return min(count, self.seq - next_seq) if self.seq > next_seq else count

    def is_claimed(self, una: int, sack: int) -> bool:
        """
        Does an acknowledgement, see L{AckInfo <twisted_utp.proto.sender.AckInfo>}, cover what was never sent?
        """
        if not self.is_held or self.seq < una:
            return self.is_held
        return self.seq > una and sack >> self.seq - una - 1 & 1 == 1

    def release(self, next_seq: int) -> None:
        """
        The packet is sent after all: choose another.
        """
        self.is_held = False
        self._distance = min(self._distance * 2, WITHHOLDING_LAST)
        self.seq = self._choose(next_seq)
