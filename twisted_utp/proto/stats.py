"""
What has a connection, or a port, done so far?

Counters are always on; snapshots are frozen.
"""

from __future__ import annotations

from dataclasses import dataclass


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
    @ivar packets_lost: declared lost; C{spurious_recoveries} counts recoveries undone because nothing had been.
    @ivar rtt: smoothed round trip, 0 before the first sample; C{min_rtt} the smallest.
    @ivar queuing_delay: one-way queueing delay toward the peer.
    @ivar peer_window: what the peer takes.
    """

    state: str
    bytes_sent: int
    bytes_acked: int
    bytes_received: int
    bytes_retransmitted: int
    packets_sent: int
    packets_received: int
    packets_retransmitted: int
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
    cwnd: int
    ssthresh: int | None
    pacing_rate: float
    bytes_in_flight: int
    bytes_unsent: int
    peer_window: int
    receive_window: int
    mss: int
    peer_is_ours: bool


@dataclass(slots=True)
class PortCounters:
    """
    What a UDP port counts beside its connections.  L{PortStats} has the same, and says what each is.
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
    answers_dropped: int = 0
    rebindings: int = 0
    connections_opened: int = 0
    connections_accepted: int = 0


PortStats = PortCounters
