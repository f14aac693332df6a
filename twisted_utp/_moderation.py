"""
Lets a port wait until a batch has gathered.

L{Moderator <twisted_utp.proto.moderation.Moderator>} says for how long; meanwhile the reactor does not watch the
socket, and the port's one delayed call, which serves all deadlines, reads it when it is time, or earlier if it wakes up
for something else.  The reactor watches again when such a read finds nothing, or nothing may wait any more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twisted_utp.proto.constants import HEADER_SIZE, HOLD_FULL_PACKET
from twisted_utp.proto.moderation import Moderator
from twisted_utp.proto.runs import Run
from twisted_utp.proto.train import DATA_TYPE
from twisted_utp.udp import IHoldingPort, ITrainPort

if TYPE_CHECKING:
    from twisted_utp.proto.multiplexer import Multiplexer
    from twisted_utp.proto.values import Datagram, Transmit

SWITCH = "TWISTED_UTP_MODERATION"
"""Environment variable: with C{0} nothing waits, for comparisons."""

# µs without a hold after which the kernel need not write down receive times any more: a stream that only paused, or
# lost a packet, would have them switched on again at once.
_FORGET_TIMES = 2_000_000


class Moderation:
    """
    Of one UDP port.

    @ivar due: when the port that is held is to be read, µs; L{None} while the reactor watches it.
    @ivar talked_at: when something was read, or sent, that L{on_batch} was not shown: a question, or an answer.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._moderator = Moderator()
        self._port: IHoldingPort | None = None
        self._times_until = 0  # 0: receive times are off
        self.due: int | None = None
        self.talked_at = 0

    def start(self, port: ITrainPort) -> None:
        """
        The port is open.
        """
        if IHoldingPort.providedBy(port) and os.environ.get(SWITCH) != "0":
            self._port = port

    def stop(self) -> None:
        """
        It closes.
        """
        self._port = self.due = None

    def on_batch(self, parts: Sequence[Run | Datagram], superseded: int, multiplexer: Multiplexer, now: int) -> None:
        """
        The port has read these; see L{Moderator.on_batch}.
        """
        port = self._port
        if port is None:
            return
        if self.talked_at:
            self._moderator.on_talk(self.talked_at)
            self.talked_at = 0
        last = parts[-1]
        id_on_wire = last.id_on_wire if type(last) is Run else last.data[2:4]  # type: ignore[union-attr]
        connection = multiplexer.table.by_key.get((last.address, int.from_bytes(id_on_wire, "big")))
        if connection is None:
            self._moderator.on_talk(now)
            wait = 0
        else:
            # Those that only linger ask nothing any more.
            there, offset = multiplexer.gate.connection_counts.connections, connection.writer.clock_offset
            wait = self._moderator.on_batch(parts, offset, now, superseded=superseded, connections=there)
        if wait:
            self._hold(port, now + wait)
        elif self.due is not None:
            self._release(port)
        if self._times_until and not wait and now > self._times_until:
            self._times_until = 0
            port.forget_times()

    def on_sent(self, trains: Sequence[Transmit]) -> None:
        """
        The port has sent these: what may be a question is not to wait for its answer.
        """
        if self.due is None:
            return
        for train in trains:
            if HEADER_SIZE < len(train.payload) < HOLD_FULL_PACKET and train.payload[0] == DATA_TYPE:
                self.talked_at = self._clock()
                return

    def poll(self) -> bool:
        """
        The delayed call has woken up: read a port that is held.

        @return: there was something.
        """
        port, due = self._port, self.due
        if port is None or due is None:
            return False
        if port.poll():
            return True
        if self.due is not None and self._clock() >= due:
            self._release(port)
        return False

    def _hold(self, port: IHoldingPort, due: int) -> None:
        if port.is_held or port.hold(self._clock):
            self.due = due
            self._times_until = due + _FORGET_TIMES

    def _release(self, port: IHoldingPort) -> None:
        self.due = None
        port.release()
