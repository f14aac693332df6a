"""
Checks that the sender of a packet knows the connection's packets (as RFC 5961 asks of TCP).

An echo of our timestamp shows it (L{twisted_utp.proto.echo}).  Without one (peers that have none, a clock that was set,
a path longer than L{MAX_ECHO_AGE <twisted_utp.proto.constants.MAX_ECHO_AGE>}) the numbers have to be close to what is
due, so that the packet is no likelier to be a guess: the more is in flight, the more ack_nrs are valid, and the fewer
seq_nrs are taken.  In doubt the peer is asked again (RFC 5961 (3.2)): one that knows the connection echoes the
timestamp of that STATE from then on, one that does not answers RESET, with its very seq_nr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.constants import (
    ACK_NR_ALLOWED_LAG,
    BLIND_LAG,
    CHALLENGE_INTERVAL,
    ECHOES_TO_PROVE,
    MAX_BLIND_PAIRS,
    MAX_ECHO_MISSES,
    MAX_REORDER,
    MAX_RESET_ECHO_AGE,
    MAX_RESET_NUMBERS,
)
from twisted_utp.proto.echo import is_fresh
from twisted_utp.proto.seqnum import expand_seq

if TYPE_CHECKING:
    from twisted_utp.proto.packet import Packet
    from twisted_utp.proto.receive_buffer import ReceiveBuffer
    from twisted_utp.proto.sender import Sender

_LONG_AGO = -CHALLENGE_INTERVAL


class PeerProof:
    """
    What one connection's peer has shown.  Sequence numbers are unwrapped.

    @ivar echoes: fresh ones in a row, until they prove that the peer reads us.
    """

    __slots__ = ("_challenged_at", "_challenged_seq", "_clock_offset", "_misses", "_receiver", "_sender", "echoes")

    def __init__(self, sender: Sender, receiver: ReceiveBuffer, clock_offset: int) -> None:
        self._sender = sender
        self._receiver = receiver
        self._clock_offset = clock_offset
        self.echoes = 0
        self._misses = 0  # packets without an echo, but with right numbers
        self._challenged_at = _LONG_AGO
        self._challenged_seq: int | None = None

    @property
    def is_given(self) -> bool:
        """
        Has the peer shown by its echoes that it reads our packets?
        """
        return self.echoes >= ECHOES_TO_PROVE

    def is_valid_ack(self, una: int) -> bool:
        """
        Is an ack_nr + 1 neither of what was never sent, nor older than a keepalive's?
        """
        sender = self._sender
        return sender.board.una - 1 - ACK_NR_ALLOWED_LAG < una <= sender.next_seq

    def is_plausible(self, timestamp: int, timestamp_difference: int, seq: int, una: int, now: int) -> bool:
        """
        May a packet be the peer's?

        @param seq: its seq_nr; C{una} its ack_nr + 1.
        """
        ahead = seq - self._receiver.next_seq
        if is_fresh(timestamp, timestamp_difference, self._clock_offset, now):
            if self.echoes < ECHOES_TO_PROVE and self._misses <= MAX_ECHO_MISSES:
                self.echoes += 1
                if self.echoes == ECHOES_TO_PROVE:
                    self._sender.stop_withholding()
            return -MAX_REORDER <= ahead < MAX_REORDER
        ack_nrs = self._sender.next_seq - self._sender.board.una + ACK_NR_ALLOWED_LAG + 1
        is_close = -BLIND_LAG <= ahead < MAX_BLIND_PAIRS // ack_nrs - BLIND_LAG
        if self.echoes < ECHOES_TO_PROVE:
            self.echoes = 0
            self._misses += is_close
        return is_close

    def challenge(self, now: int) -> int | None:
        """
        The peer is to show that a packet was its own.

        @return: the seq_nr of the STATE that asks for it; L{None} when it has just been asked.
        """
        if now - self._challenged_at < CHALLENGE_INTERVAL:
            return None
        self._challenged_at, self._challenged_seq = now, self._sender.next_seq
        return self._challenged_seq

    def due_reset_numbers(self) -> set[int]:
        """
        The ack_nrs of a RESET that needs no more proof.

        What the peer has last received, the oldest and the newest packet in flight, and what a STATE of ours has.  All
        that is in flight, while that is little.  There are never more than L{MAX_RESET_NUMBERS}.
        """
        una, next_seq = self._sender.board.una, self._sender.next_seq
        due = {self._sender.acknowledged_seq, una - 1, una, next_seq - 1, next_seq}  # the first is a keepalive's
        if next_seq - una <= MAX_RESET_NUMBERS - 4:
            due.update(range(una, next_seq))
        if self._challenged_seq is not None:
            due.add(self._challenged_seq)
        return due

    def is_reset_believable(self, reset: Packet, now: int) -> bool | None:
        """
        Is a RESET the peer's?

        @return: L{None} when it may be, but a guess might be as well.
        """
        seq = expand_seq(reset.ack_nr, self._sender.board.una)
        if seq in self.due_reset_numbers():
            return True
        if not self.is_valid_ack(seq + 1):
            return False
        return (
            is_fresh(reset.timestamp, reset.timestamp_difference, self._clock_offset, now, MAX_RESET_ECHO_AGE) or None
        )
