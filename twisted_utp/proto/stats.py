"""
What a connection, or a port, has done so far.

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

    @ivar state: its state, as in C{docs/protocol.rst}.
    @ivar bytes_sent: payload sent for the first time.
    @ivar bytes_acked: payload that the peer has acknowledged.
    @ivar bytes_received: payload received in order.
    @ivar bytes_retransmitted: payload sent again.
    @ivar packets_sent: datagrams sent, of any type.
    @ivar packets_received: well-formed datagrams received, of any type.
    @ivar packets_retransmitted: packets sent again, for any of the three causes that follow.
    @ivar retransmitted_fast: sent again because later ones had arrived, or a selective ack said so.
    @ivar retransmitted_timeout: sent again because nothing was heard.
    @ivar retransmitted_probe: sent again to make the peer answer (tail loss probes, RFC 8985).
    @ivar packets_lost: packets declared lost.
    @ivar packets_duplicate: packets received that had been received before.
    @ivar packets_invalid: packets received and dropped: stale ones, and ones with values that cannot be.
    @ivar acks_sent: packets sent that only acknowledge.
    @ivar spurious_recoveries: recoveries undone, because nothing had been lost.
    @ivar window_cuts: reductions of the congestion window after losses.
    @ivar timeouts: retransmission timeouts.
    @ivar tail_loss_probes: probes sent after two round trips without an answer (RFC 8985).
    @ivar zero_window_probes: probes of a closed window.
    @ivar rtt: smoothed round trip, 0 before the first sample.
    @ivar rtt_variation: mean deviation of the round trip (RFC 6298, RTTVAR).
    @ivar min_rtt: the smallest round trip.
    @ivar rto: the retransmission timeout.
    @ivar queuing_delay: one-way queueing delay toward the peer.
    @ivar peer_queuing_delay: one-way queueing delay toward us.
    @ivar one_way_delay: delay toward the peer.  The difference of the two clocks is in it, so only changes mean
        something; L{None} before the first sample.
    @ivar peer_one_way_delay: delay toward us, likewise.
    @ivar cwnd: the congestion window.
    @ivar ssthresh: where slow start ends; L{None} while it has no end.
    @ivar pacing_rate: bytes a second, headers included; 0 without pacing.
    @ivar max_send_rate: its limit in bytes a second, 0 for none; the port may have a lower one.
    @ivar max_receive_rate: the same for what it receives.
    @ivar bytes_in_flight: sent and neither acknowledged nor lost.
    @ivar bytes_unsent: written and not yet sent.
    @ivar peer_window: the window that the peer announced last.
    @ivar receive_window: the window that we announced last.
    @ivar mss: payload of a full packet.
    @ivar mtu: UDP payload of a full packet, as far as it has been discovered.
    @ivar peer_is_ours: the peer has sent the extension bits of this package.
    @ivar peer_extension_bits: all extension bits that the peer has sent; L{None} when it sent none.
    @ivar overhead_connect: bytes of SYN and SYN-ACK.
    @ivar overhead_ack: bytes of packets that only acknowledge, keepalives included.
    @ivar overhead_header: bytes of headers and extensions on data.
    @ivar overhead_retransmit: bytes of packets that were sent again, headers included.
    @ivar overhead_close: bytes of FIN and RESET.
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
    A UDP port at one moment: all that has passed through it since it was made, and what there is now.  Bytes are UDP
    payload, unless they are called payload, which is that of the streams.

    @ivar connections: connections in use.
    @ivar half_open: SYNs that were answered and whose senders have not yet confirmed their address.
    @ivar datagrams_received: datagrams received, of uTP or not.
    @ivar bytes_received: their bytes.
    @ivar datagrams_sent: datagrams sent.
    @ivar bytes_sent: their bytes.
    @ivar trains_sent: trains of several datagrams, whether or not the kernel took them whole.
    @ivar trains_received: trains that the kernel handed over in one piece.
    @ivar not_utp: datagrams of other protocols.
    @ivar malformed: datagrams that looked like uTP and were not well-formed.
    @ivar no_connection: packets that belonged to no connection.
    @ivar resets_sent: RESETs sent, for such packets and for refused SYNs.
    @ivar resets_suppressed: RESETs not sent, because of their rate limit.
    @ivar resets_received: RESETs received.
    @ivar resets_ignored: RESETs received and not believed.
    @ivar syns_received: SYNs received.
    @ivar syns_refused: SYNs refused: by limits, by the policy, or because nobody listens.
    @ivar policy_refusals: those that the policy refused.
    @ivar cookies_sent: SYNs answered without keeping any state (SYN cookies).
    @ivar cookies_proven: those whose senders came back with the cookie: they became connections.
    @ivar proofs_failed: packets that should have confirmed an address, and did not.
    @ivar challenges_sent: acknowledgements that asked a peer whether a doubtful packet was its own (RFC 5961).
    @ivar peers_cut_off: peers that acknowledged what they had not been sent, or whose hosts knew nothing of them.
    @ivar answers_dropped: answers to unconfirmed peers that were dropped while the socket was full.
    @ivar rebindings: peers whose NAT gave them another port in the middle of a connection.
    @ivar handed_on: datagrams and trains handed to another process on the port.
    @ivar taken_over: datagrams and trains taken from another process on the port.
    @ivar strays_dropped: packets of unknown connections, dropped because there were too many to ask other processes.
    @ivar icmp_too_big: datagrams returned because they were too big for a link.
    @ivar icmp_unreachable: datagrams returned because nobody could be reached.
    @ivar icmp_ignored: ICMP messages that quoted no packet in flight, or said what cannot be.
    @ivar connections_opened: connections dialled.
    @ivar connections_accepted: connections accepted.
    @ivar max_send_rate: the port's limit in bytes a second, 0 for none.
    @ivar max_receive_rate: the same for what it receives.
    @ivar waiting_to_send: connections that wait for their turn to send, because of the limit.
    @ivar waiting_to_receive: connections that keep their peers waiting, because of the limit.
    @ivar sizes_received: how many datagrams were up to so many bytes long, and longer than the class before.
    @ivar sizes_sent: the same for what was sent.
    @ivar payload_sent: payload sent for the first time.
    @ivar payload_retransmitted: payload sent again.
    @ivar payload_received: payload received in order.
    @ivar packets_retransmitted: packets sent again.
    @ivar overhead_connect: bytes of SYN and SYN-ACK.
    @ivar overhead_ack: bytes of packets that only acknowledge, keepalives included.
    @ivar overhead_header: bytes of headers and extensions on data.
    @ivar overhead_retransmit: bytes of packets that were sent again, headers included.
    @ivar overhead_close: bytes of FIN and RESET.
    @ivar read_calls: system calls that received something.
    @ivar write_calls: system calls that sent something.
    @ivar truncated: datagrams, and ICMP messages, that the system handed over incomplete: dropped, and not counted as
        received.
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
