"""
What has a connection, or a port, done so far?

Counters are always on; snapshots are frozen.  Overhead is what UDP carried beyond payload that was sent for the first
time, without IP's and UDP's own headers, by what it was for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# One class of sizes for each length in bits: up to 0, 1, 3, 7, ... 65535 bytes.
SIZE_CLASSES = 17

PACKET_TYPES = 5


@dataclass(slots=True)
class SenderCounters:
    """
    What the sending side counts.
    """

    packets: int = 0
    nbytes: int = 0
    acked_bytes: int = 0
    retransmitted_packets: int = 0
    retransmitted_bytes: int = 0
    timeout_packets: int = 0
    lost_packets: int = 0
    spurious_losses: int = 0
    window_cuts: int = 0
    timeouts: int = 0
    tail_loss_probes: int = 0
    zero_window_probes: int = 0
    duplicate_acks: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionStats:
    """
    A connection at one moment.  Sizes are payload bytes, times µs.

    @ivar bytes_sent: payload sent for the first time; C{bytes_retransmitted} is what was sent again.
    @ivar bytes_acked: payload the peer has.
    @ivar bytes_received: payload received in order.
    @ivar packets_retransmitted: sent again, for one of three causes: C{retransmitted_fast}, because later ones had
        arrived or a selective ack said so; C{retransmitted_timeout}, because nothing was heard;
        C{retransmitted_probe}, to make the peer answer (RFC 8985 tail-loss probes).
    @ivar packets_lost: declared lost; C{spurious_recoveries} counts recoveries undone because nothing had been.
    @ivar packets_duplicate: received that had been received before.
    @ivar rtt: smoothed round trip, 0 before the first sample; C{min_rtt} the smallest.
    @ivar queuing_delay: one-way queueing delay toward the peer; C{peer_queuing_delay} that toward us.
    @ivar one_way_delay: of the way toward the peer, and C{peer_one_way_delay} of the way to us.  The difference of the
        two clocks is in it, so only changes mean something; L{None} before the first sample.
    @ivar peer_window: what the peer takes.
    @ivar max_send_rate: its limit in bytes a second, 0 for none, and C{max_receive_rate}; the port may have others.
    @ivar mtu: bytes of UDP payload in a full packet, the best guess so far; C{mss} is its payload.
    @ivar peer_is_ours: the peer showed our extension bits; C{peer_extension_bits} are all that it sent, if any.
    @ivar overhead_connect: bytes of SYN and SYN-ACK; C{overhead_ack} of packets that only acknowledge, keepalives
        included; C{overhead_header} of headers and extensions on data; C{overhead_retransmit} of what was sent again,
        its headers included; C{overhead_close} of FIN and RESET.
    """

    state: str
    bytes_sent: int
    bytes_acked: int
    bytes_received: int
    bytes_retransmitted: int
    packets_sent: int
    packets_received: int
    packets_retransmitted: int
    retransmitted_fast: int
    retransmitted_timeout: int
    retransmitted_probe: int
    packets_lost: int
    packets_duplicate: int
    packets_invalid: int
    acks_sent: int
    spurious_recoveries: int
    window_cuts: int
    timeouts: int
    tail_loss_probes: int
    zero_window_probes: int
    rtt: int
    rtt_variation: int
    min_rtt: int
    rto: int
    queuing_delay: int
    peer_queuing_delay: int
    one_way_delay: int | None
    peer_one_way_delay: int | None
    cwnd: int
    ssthresh: int | None
    pacing_rate: float
    max_send_rate: int
    max_receive_rate: int
    bytes_in_flight: int
    bytes_unsent: int
    peer_window: int
    receive_window: int
    mss: int
    mtu: int
    peer_is_ours: bool
    peer_extension_bits: int | None
    overhead_connect: int
    overhead_ack: int
    overhead_header: int
    overhead_retransmit: int
    overhead_close: int


def _size_classes() -> list[int]:
    return [0] * SIZE_CLASSES


@dataclass(slots=True)
class PortCounters:
    """
    What a UDP port counts.  L{PortStats} says what it means.

    @ivar sizes_received: datagrams by the length of their length in bits; C{sizes_sent} likewise.
    @ivar bytes_by_type: bytes sent, by type of packet; that of DATA is left out, which is the rest.
    @ivar syn_ack_bytes: how many of the STATEs' were SYN-ACKs'.
    @ivar ended: payload of connections that are gone: sent first, sent again, received; packets sent again, and
        keepalives.
    """

    datagrams_received: int = 0
    bytes_received: int = 0
    datagrams_sent: int = 0
    bytes_sent: int = 0
    trains_sent: int = 0
    trains_received: int = 0
    not_utp: int = 0
    malformed: int = 0
    no_connection: int = 0
    resets_sent: int = 0
    resets_suppressed: int = 0
    resets_received: int = 0
    resets_ignored: int = 0
    syns_received: int = 0
    syns_refused: int = 0
    policy_refusals: int = 0
    cookies_sent: int = 0
    cookies_proven: int = 0
    proofs_failed: int = 0
    challenges_sent: int = 0
    peers_cut_off: int = 0
    answers_dropped: int = 0
    rebindings: int = 0
    handed_on: int = 0
    taken_over: int = 0
    strays_dropped: int = 0
    icmp_too_big: int = 0
    icmp_unreachable: int = 0
    icmp_ignored: int = 0
    connections_opened: int = 0
    connections_accepted: int = 0
    sizes_received: list[int] = field(default_factory=_size_classes)
    sizes_sent: list[int] = field(default_factory=_size_classes)
    bytes_by_type: list[int] = field(default_factory=lambda: [0] * PACKET_TYPES)
    syn_ack_bytes: int = 0
    ended: list[int] = field(default_factory=lambda: [0] * 5)


@dataclass(frozen=True, slots=True)
class PortStats:
    """
    A UDP port at one moment: all that passed through it since it was made, and what there is now.  Bytes are those of
    UDP's payload, unless they are called payload, which is the streams'.

    @ivar connections: those that somebody uses.
    @ivar half_open: SYNs that were answered and whose senders have not proved their address yet.
    @ivar connections_opened: dialled; C{connections_accepted} were accepted.
    @ivar trains_sent: of several datagrams, whether or not the kernel took them whole; C{trains_received} likewise.
    @ivar not_utp: datagrams of others on the port; C{malformed} looked like uTP and were not well-formed.
    @ivar no_connection: packets that no connection knew.
    @ivar resets_sent: to such, and to refused SYNs; C{resets_suppressed} were one too many.
    @ivar resets_ignored: received, and not believed.
    @ivar syns_refused: by limits, by the policy (C{policy_refusals}), or because nobody listens.
    @ivar cookies_sent: SYNs answered without keeping anything; C{cookies_proven} of them became connections.
    @ivar proofs_failed: packets that should have proved an address, and did not.
    @ivar challenges_sent: acknowledgements that asked a peer whether a doubtful packet was its own (RFC 5961).
    @ivar peers_cut_off: that acknowledged what they had not been sent, or whose hosts knew nothing of them.
    @ivar answers_dropped: to strangers, while the socket took nothing.
    @ivar icmp_too_big: datagrams that came back because they were too big, and C{icmp_unreachable} because nobody could
        be reached; C{icmp_ignored} those that were not ours, or said what cannot be.
    @ivar rebindings: peers whose NAT gave them another port in the middle of a connection.
    @ivar handed_on: datagrams and trains that were given to another process on the port, and C{taken_over} from
        another; C{strays_dropped} because there were too many to ask others about.
    @ivar max_send_rate: its limit in bytes a second, 0 for none; C{waiting_to_send} connections wait for their turn.
    @ivar max_receive_rate: the same for what it receives; C{waiting_to_receive} keep their peers waiting.
    @ivar sizes_received: how many datagrams were up to so many bytes long, and longer than the class before;
        C{sizes_sent} likewise.
    @ivar payload_sent: for the first time; C{payload_retransmitted} again; C{payload_received} in order.
    @ivar packets_retransmitted: datagrams sent again.
    @ivar overhead_connect: see L{ConnectionStats}, as the other four.
    @ivar read_calls: system calls that received something; C{write_calls} that sent something.
    @ivar truncated: datagrams, and ICMP messages, that the system handed over incomplete: dropped, and not counted
        as received.
    @ivar proxy_dropped: datagrams on a port behind a SOCKS5 proxy that did not come from its relay, or that had no
        proper header.
    """

    connections: int
    half_open: int
    datagrams_received: int
    bytes_received: int
    datagrams_sent: int
    bytes_sent: int
    trains_sent: int
    trains_received: int
    not_utp: int
    malformed: int
    no_connection: int
    resets_sent: int
    resets_suppressed: int
    resets_received: int
    resets_ignored: int
    syns_received: int
    syns_refused: int
    policy_refusals: int
    cookies_sent: int
    cookies_proven: int
    proofs_failed: int
    challenges_sent: int
    peers_cut_off: int
    answers_dropped: int
    rebindings: int
    handed_on: int
    taken_over: int
    strays_dropped: int
    icmp_too_big: int
    icmp_unreachable: int
    icmp_ignored: int
    connections_opened: int
    connections_accepted: int
    max_send_rate: int
    max_receive_rate: int
    waiting_to_send: int
    waiting_to_receive: int
    sizes_received: Mapping[int, int]
    sizes_sent: Mapping[int, int]
    payload_sent: int
    payload_retransmitted: int
    payload_received: int
    packets_retransmitted: int
    overhead_connect: int
    overhead_ack: int
    overhead_header: int
    overhead_retransmit: int
    overhead_close: int
    read_calls: int
    write_calls: int
    truncated: int
    proxy_dropped: int = 0

    @property
    def calls_per_datagram(self) -> float:
        """
        System calls for each datagram, both ways together; 0 before the first.
        """
        datagrams = self.datagrams_received + self.datagrams_sent
        return (self.read_calls + self.write_calls) / datagrams if datagrams else 0.0
