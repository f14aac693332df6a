"""
Turns counters into L{ConnectionStats} and L{PortStats}.

Counting is cheap and always on; adding up is done here, when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from twisted_utp.proto.constants import HEADER_SIZE
from twisted_utp.proto.keepalive import KEEPALIVE_SIZE
from twisted_utp.proto.packet import PacketType
from twisted_utp.proto.rate_limit import lowest
from twisted_utp.proto.seqnum import signed_timestamp
from twisted_utp.proto.stats import ConnectionStats, PortCounters, PortStats, SenderCounters

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection
    from twisted_utp.proto.connection_counts import ConnectionCounts
    from twisted_utp.proto.port_rates import PortRates
    from twisted_utp.proto.sender import Sender

# What a close reason adds to a header: itself, and the selective ack that must stand before it.
_CLOSE_REASON_SIZE = 12

_NOTHING = SenderCounters()

_COUNTED = {field.name for field in fields(PortStats)} & {field.name for field in fields(PortCounters)}


def snapshot(connection: Connection) -> ConnectionStats:
    """
    A connection at this moment.
    """
    receiver, config = connection.receiver, connection.config
    return ConnectionStats(
        state=connection.state.name,
        bytes_received=connection.bytes_received,
        packets_received=connection.packets_received,
        packets_duplicate=receiver.duplicates,
        packets_invalid=connection.packets_invalid,
        acks_sent=connection.acks_sent,
        receive_window=receiver.window(),
        max_send_rate=lowest(config.max_rate, config.max_send_rate),
        max_receive_rate=lowest(config.max_rate, config.max_receive_rate),
        peer_is_ours=connection.peer_is_ours,
        peer_extension_bits=connection.peer_extension_bits,
        **_delays(connection),
        **_overhead(connection),
        **_sending(connection.sender),
    )


def _counted(sender: Sender) -> SenderCounters:
    return sender.counters if sender.has_counted else _NOTHING


def _sending(sender: Sender) -> dict[str, Any]:
    counted, rtt, ssthresh = _counted(sender), sender.rtt, sender.congestion.ssthresh
    return {
        "bytes_sent": counted.nbytes,
        "bytes_acked": counted.acked_bytes,
        "bytes_retransmitted": counted.retransmitted_bytes,
        "packets_sent": counted.packets,
        "packets_retransmitted": counted.retransmitted_packets,
        "retransmitted_fast": counted.retransmitted_packets - counted.timeout_packets - counted.tail_loss_probes,
        "retransmitted_timeout": counted.timeout_packets,
        "retransmitted_probe": counted.tail_loss_probes,
        "packets_lost": counted.lost_packets,
        "spurious_recoveries": counted.spurious_losses,
        "window_cuts": counted.window_cuts,
        "timeouts": counted.timeouts,
        "tail_loss_probes": counted.tail_loss_probes,
        "zero_window_probes": counted.zero_window_probes,
        "rtt": rtt.smoothed,
        "rtt_variation": rtt.variation,
        "min_rtt": rtt.minimum,
        "rto": rtt.rto,
        "queuing_delay": sender.delay.queuing,
        "cwnd": int(sender.congestion.cwnd),
        "ssthresh": None if ssthresh == float("inf") else int(ssthresh),
        "pacing_rate": sender.pacing_rate,
        "bytes_in_flight": sender.board.flight_bytes,
        "bytes_unsent": sender.buffer.nbytes,
        "peer_window": sender.peer_window,
        "mss": sender.mss,
        "mtu": sender.mss + HEADER_SIZE,
    }


def _delays(connection: Connection) -> dict[str, Any]:
    delay = connection.sender.delay
    base, peer_base = delay.base, delay.peer_base
    return {
        "peer_queuing_delay": max(delay.peer_queue, 0),
        "one_way_delay": None if base is None else signed_timestamp(base) + delay.queuing,
        "peer_one_way_delay": None if peer_base is None else signed_timestamp(peer_base) + delay.peer_queue,
    }


def _overhead(connection: Connection) -> dict[str, int]:
    sender, writer = connection.sender, connection.writer
    sent, is_fin_sent = _counted(sender), sender.fin_seq is not None
    fin = HEADER_SIZE + (_CLOSE_REASON_SIZE if connection.close_code else 0)
    return {
        "overhead_connect": connection.handshake.nbytes,
        "overhead_ack": connection.acks_sent * HEADER_SIZE
        + writer.keepalives * KEEPALIVE_SIZE
        + writer.ack_extension_bytes,
        "overhead_header": (sent.packets - is_fin_sent) * HEADER_SIZE + writer.data_extension_bytes,
        "overhead_retransmit": sent.retransmitted_packets * HEADER_SIZE + sent.retransmitted_bytes,
        "overhead_close": is_fin_sent * fin + writer.reset_bytes,
    }


def note_ended(counters: PortCounters, connection: Connection) -> None:
    """
    A connection is about to be forgotten: keep its sums.
    """
    sent, ended = _counted(connection.sender), counters.ended
    ended[0] += sent.nbytes
    ended[1] += sent.retransmitted_bytes
    ended[2] += connection.bytes_received
    ended[3] += sent.retransmitted_packets
    ended[4] += connection.writer.keepalives


def port_snapshot(
    counters: PortCounters,
    connection_counts: ConnectionCounts,
    connections: Iterable[Connection],
    rates: PortRates,
    reads: int | None,
    writes: int | None,
    truncated: int,
) -> PortStats:
    """
    A port at this moment.

    @param reads: system calls that received, L{None} for one a datagram; C{writes} that sent.
    @param truncated: see L{PortStats}.
    """
    known = {name: getattr(counters, name) for name in _COUNTED}
    known["sizes_received"] = _histogram(counters.sizes_received)
    known["sizes_sent"] = _histogram(counters.sizes_sent)
    return PortStats(
        connections=connection_counts.connections,
        half_open=connection_counts.half_open,
        read_calls=counters.datagrams_received if reads is None else reads,
        write_calls=counters.datagrams_sent if writes is None else writes,
        truncated=truncated,
        **rates.snapshot(),
        **_sums(counters, connections),
        **known,
    )


def _sums(counters: PortCounters, connections: Iterable[Connection]) -> dict[str, Any]:
    payload, again, received, packets_again, keepalives = counters.ended
    for connection in connections:
        sent = _counted(connection.sender)
        payload += sent.nbytes
        again += sent.retransmitted_bytes
        received += connection.bytes_received
        packets_again += sent.retransmitted_packets
        keepalives += connection.writer.keepalives
    kinds, asked, repeated = counters.bytes_by_type, keepalives * KEEPALIVE_SIZE, again + packets_again * HEADER_SIZE
    return {
        "payload_sent": payload,
        "payload_retransmitted": again,
        "payload_received": received,
        "packets_retransmitted": packets_again,
        "overhead_connect": kinds[PacketType.SYN] + counters.syn_ack_bytes,
        "overhead_ack": kinds[PacketType.STATE] - counters.syn_ack_bytes + asked,
        # The fast path counts no types: what is not another one's is DATA's.
        "overhead_header": max(counters.bytes_sent - sum(kinds[1:]) - payload - repeated - asked, 0),
        "overhead_retransmit": repeated,
        "overhead_close": kinds[PacketType.FIN] + kinds[PacketType.RESET],
    }


def _histogram(classes: list[int]) -> dict[int, int]:
    return {(1 << bits) - 1: count for bits, count in enumerate(classes) if count}
