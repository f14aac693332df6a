"""
The round-trip time, and the retransmission timeout (RFC 6298).
"""

from __future__ import annotations

from twisted_utp.proto.constants import INITIAL_RTO, MAX_RTO, MIN_TAIL_LOSS_PROBE, TIMER_GRANULARITY


class RttEstimator:
    """
    Smoothed round-trip time and retransmission timeout, in µs.

    Samples of retransmitted packets must not come here (Karn's rule): which transmission was answered is unknown.

    @ivar smoothed: RFC 6298 SRTT; 0 before the first sample.
    @ivar variation: RFC 6298 RTTVAR.
    @ivar minimum: the smallest sample of the connection.
    @ivar latest: the last sample.
    @ivar rto: the retransmission timeout with its backoff, µs (RFC 6298 (2.3), (2.4), (5.5)).
    @ivar probe_timeout: µs after the last packet sent at which its loss is suspected (RFC 8985 (7.2)): two round trips.

        RFC 8985 adds 200 ms when one packet is in flight, for acks that the peer delays.  Nearly all uTP peers
        acknowledge at once; the one that waits 40 ms costs a duplicate packet.  Where round trips vary a lot, because a
        busy peer reads late, it waits for their variation as QUIC does (RFC 9002 (6.2.1)).
    """

    __slots__ = ("_backoff", "_min_rto", "latest", "minimum", "probe_timeout", "rto", "smoothed", "variation")

    def __init__(self, min_rto: int) -> None:
        self._min_rto = min_rto
        self._backoff = 0
        self.smoothed = 0
        self.variation = 0
        self.minimum = 0
        self.latest = 0
        self.rto = INITIAL_RTO
        self.probe_timeout = MIN_TAIL_LOSS_PROBE

    def on_sample(self, rtt: int) -> None:
        """
        Take a measured round trip (RFC 6298 (2.2), (2.3)).
        """
        rtt = max(rtt, 1)
        self.latest = rtt
        if not self.smoothed:
            self.smoothed, self.variation, self.minimum = rtt, rtt // 2, rtt
        else:
            self.variation += (abs(self.smoothed - rtt) - self.variation) // 4
            self.smoothed += (rtt - self.smoothed) // 8
            if rtt < self.minimum:
                self.minimum = rtt
        self._backoff = 0
        self._set_rto()

    @property
    def is_backed_off(self) -> bool:
        """
        Has there been no sample since a timeout?
        """
        return self._backoff > 0

    def on_timeout(self) -> None:
        """
        Double the timeout (RFC 6298 (5.5)).
        """
        self._backoff += 1
        self._set_rto()

    def on_progress(self) -> None:
        """
        Something new was acknowledged: the path works, so the backoff ends even without a sample.
        """
        if self._backoff:
            self._backoff = 0
            self._set_rto()

    def on_doubtful_progress(self) -> None:
        """
        The same of something that a timeout has repeated.  One doubling stays until a sample comes: were the round trip
        longer than the timeout now, everything would be repeated before its answer, and no sample would ever tell (RFC
        6298 (3), (5.7)).
        """
        if self._backoff > 1:
            self._backoff = 1
            self._set_rto()

    def _set_rto(self) -> None:
        """
        Both timeouts are kept, not computed when asked for: each packet sent asks for them, and only a round trip
        changes them.
        """
        base = INITIAL_RTO
        if self.smoothed:
            base = max(self.smoothed + max(4 * self.variation, TIMER_GRANULARITY), self._min_rto)
        self.rto = rto = min(base << min(self._backoff, 16), MAX_RTO)
        self.probe_timeout = min(max(2 * self.smoothed, 4 * self.variation, MIN_TAIL_LOSS_PROBE), rto)
