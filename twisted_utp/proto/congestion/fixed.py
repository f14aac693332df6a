"""
What would the path carry without congestion control?  A window that never changes, for tests and ceilings.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample, CongestionController, register_congestion_controller

# A megabyte: large enough to fill any link of a test, small enough for a foreign peer's receive buffer.
FIXED_WINDOW = 1024 * 1024


class FixedWindow(CongestionController):
    """
    Always L{FIXED_WINDOW} bytes, whatever happens.  Never use it on a network that others use too.
    """

    __slots__ = ()

    def __init__(self, *, mss: int, target_delay: int) -> None:
        super().__init__(mss=mss, target_delay=target_delay)
        self.cwnd = float(FIXED_WINDOW)
        self.ssthresh = 0.0

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """
        Nothing changes.
        """

    def on_loss(self, *, now: int, bytes_in_flight: int, bytes_lost: int = 0) -> None:
        """
        Nothing changes.
        """

    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        """
        Nothing changes.
        """


register_congestion_controller("fixed", FixedWindow)
