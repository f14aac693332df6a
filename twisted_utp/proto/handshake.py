"""
What the two sides exchange before there is a stream (BEP-29, "connection setup").

The initiator's SYN consumes a seq_nr, the acceptor's SYN-ACK does not: every deployed stack does so, although the
BEP's diagram says otherwise.
"""

from __future__ import annotations

from twisted_utp.proto.constants import (
    EXTENSION_BITS_SIGNATURE,
    MAX_CONFIRMATIONS,
    MAX_SYN_TIMEOUT,
    PUNCH_INTERVAL,
    REFUSAL_INTERVAL,
    REFUSAL_TIMEOUT,
    SEQ_MASK,
    SYN_ATTEMPTS_WITH_FIRST_ID,
    SYN_TIMEOUT,
    TIMESTAMP_MASK,
)
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.proto.timers import NEVER

# An ICMP message comes back within seconds, so it quotes one of the last SYNs.
_SYNS_REMEMBERED = 8


def syn_ack(
    send_id: int,
    *,
    timestamp: int,
    timestamp_difference: int,
    wnd_size: int,
    seq_nr: int,
    ack_nr: int,
    with_bits: bool,
) -> Packet:
    """
    The answer to a SYN.

    @param send_id: the SYN's connection id.
    @param seq_nr: that of our first DATA, which consumes it.
    @param ack_nr: the SYN's seq_nr.
    @param with_bits: show our extension bits.
    """
    bits = EXTENSION_BITS_SIGNATURE if with_bits else None
    return Packet(
        PacketType.STATE, send_id, timestamp, timestamp_difference, wnd_size, seq_nr, ack_nr, extension_bits=bits
    )


class Handshake:
    """
    One connection's opening.

    @ivar is_acceptor: we answered the peer's SYN; possible even for a connection that we dialled, when both did.
    @ivar syn_seq: seq_nr of the SYN, the peer's for an acceptor, 16 bits.
    @ivar deadline: when an unanswered initiator gives up, µs.
    @ivar attempts: SYNs sent.
    @ivar is_punching: the peer dials us as well (BEP 55): a RESET may only mean that it has not begun yet.
    @ivar nbytes: bytes of SYNs and SYN-ACKs made.
    @ivar syn_timestamps: C{timestamp} of the latest SYNs, for ICMP messages that quote one.
    @ivar guesses: packets with a wrong proof, from a peer that has still to prove its address.
    @ivar confirmations: times that we showed a silent acceptor that we are there; 0 when that is not needed.
    """

    __slots__ = (
        "_first_seq",
        "_refused",
        "attempts",
        "confirmations",
        "deadline",
        "guesses",
        "is_acceptor",
        "is_punching",
        "nbytes",
        "syn_seq",
        "syn_timestamps",
    )

    def __init__(self, first_seq: int, *, is_acceptor: bool) -> None:
        """
        @param first_seq: seq_nr of our first DATA, unwrapped.
        """
        self._first_seq = first_seq
        self.is_acceptor = is_acceptor
        self.syn_seq = first_seq - 1 & SEQ_MASK
        self.deadline = NEVER
        self.attempts = 0
        self.nbytes = 0
        self.is_punching = False
        self.confirmations = 0
        self._refused: tuple[int, int] | None = None  # since when SYNs are answered with FIN, and the latest such SYN
        self.guesses = 0
        self.syn_timestamps: tuple[int, ...] = ()

    @property
    def needs_another_id(self) -> bool:
        """
        Should the next SYN come from a fresh connection id?

        A libutp acceptor ignores a repeated SYN, so after its SYN-ACK was lost only a new id gets through; and what
        answered with a FIN still has the old one.
        """
        return (self.is_refused or self._is_late) and not self.is_punching

    @property
    def _is_late(self) -> bool:
        return self.attempts >= SYN_ATTEMPTS_WITH_FIRST_ID

    @property
    def is_refused(self) -> bool:
        """
        Was a FIN all that our SYNs were answered with?
        """
        return self._refused is not None

    def syn(self, recv_id: int, wnd_size: int, timestamp: int) -> bytes:
        """
        The next SYN.  Late ones lack the extension bits, because nim drops packets that have them.

        @param timestamp: our clock with the connection's offset, µs.
        """
        bits = None if self._is_late and not self.is_punching else EXTENSION_BITS_SIGNATURE
        self.attempts += 1
        self.syn_timestamps = (*self.syn_timestamps[1 - _SYNS_REMEMBERED :], timestamp & TIMESTAMP_MASK)
        return self._counted(
            Packet(PacketType.SYN, recv_id, timestamp, 0, wnd_size, seq_nr=self.syn_seq, extension_bits=bits)
        )

    def next_syn_at(self, now: int) -> int:
        """
        When to try again, or give up, µs.
        """
        wait = PUNCH_INTERVAL if self.is_punching else min(SYN_TIMEOUT << self.attempts - 1, MAX_SYN_TIMEOUT)
        return min(now + wait, self.deadline)

    def on_syn(self, syn: Packet) -> None:
        """
        Become the acceptor of the peer's SYN.
        """
        self.is_acceptor = True
        self.syn_seq = syn.seq_nr

    def is_repeated(self, syn: Packet) -> bool:
        """
        Is it the SYN that opened this connection once more?
        """
        return self.is_acceptor and syn.seq_nr == self.syn_seq

    def syn_ack(self, send_id: int, reply_micro: int, wnd_size: int, *, with_bits: bool, timestamp: int) -> bytes:
        """
        The answer to the SYN, the same one each time: its seq_nr is that of our first DATA.
        """
        return self._counted(
            syn_ack(
                send_id,
                timestamp=timestamp,
                timestamp_difference=reply_micro,
                wnd_size=wnd_size,
                seq_nr=self._first_seq & SEQ_MASK,
                ack_nr=self.syn_seq,
                with_bits=with_bits,
            )
        )

    def _counted(self, packet: Packet) -> bytes:
        payload = encode_packet(packet)
        self.nbytes += len(payload)
        return payload

    def is_answer(self, packet: Packet) -> bool:
        """
        Is it the SYN-ACK?

        DATA that overtakes the SYN-ACK acknowledges our SYN too, but whether it is the first DATA only the
        SYN-ACK's seq_nr tells; the peer will send it again (libutp does the same).
        """
        return packet.type is PacketType.STATE and packet.ack_nr == self.syn_seq

    def is_refusal(self, packet: Packet) -> bool:
        """
        Is it a FIN in place of the SYN-ACK?

        While both dial each other it may only mean that the peer has not begun yet.
        """
        return packet.type is PacketType.FIN and packet.ack_nr == self.syn_seq and not self.is_punching

    def on_refusal(self, now: int) -> int | None:
        """
        A FIN came in place of the SYN-ACK.

        @return: when to send the next SYN, or to give up, µs: C{now} when it has been so for long enough.  L{None} for
            a FIN that is only repeated.
        """
        since, attempt = self._refused or (now, 0)
        if attempt == self.attempts:
            return None
        self._refused = since, self.attempts
        if now - since >= REFUSAL_TIMEOUT:
            self.deadline = now
        return min(now + REFUSAL_INTERVAL, self.deadline)

    def confirm(self, rto: int, now: int) -> int | None:
        """
        We are showing the acceptor that we are where our SYN said.

        @return: when to say it again, in case it gets lost while neither side has anything to send; L{None} when
            it was said often enough.
        """
        self.confirmations += 1
        if self.confirmations >= MAX_CONFIRMATIONS:
            return None
        return now + (rto << self.confirmations)
