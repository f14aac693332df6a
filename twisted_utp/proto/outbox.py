"""
Packets that wait and belong to no window: SYN and its answer, RESET, keepalives.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from twisted_utp.proto.constants import MAX_WAITING_ANSWERS
from twisted_utp.proto.values import Address, Transmit

if TYPE_CHECKING:
    from twisted_utp.proto.stats import PortCounters


class Outbox(deque[Transmit]):
    """
    They leave in order, before what connections send.
    """

    def __init__(self, counters: PortCounters) -> None:
        super().__init__()
        self._counters = counters

    def send(self, address: Address, payload: bytes) -> None:
        """
        Queue one.
        """
        self.append(Transmit(address, payload, len(payload)))

    def answer(self, address: Address, payload: bytes, *, is_syn_ack: bool = False) -> bool:
        """
        Queue one for somebody who may not be there, unless many wait already.

        @return: it was queued.
        """
        if len(self) >= MAX_WAITING_ANSWERS:
            self._counters.answers_dropped += 1
            return False
        self._counters.syn_ack_bytes += is_syn_ack * len(payload)
        self.send(address, payload)
        return True

    def withdraw_syn_ack(self, address: Address, send_id: int) -> bool:
        """
        Was a connection's SYN-ACK still waiting?  It is not sent then.
        """
        on_wire = send_id.to_bytes(2, "big")
        for index, transmit in enumerate(self):
            if transmit.address == address and transmit.payload[2:4] == on_wire:
                self._counters.syn_ack_bytes -= len(transmit.payload)
                del self[index]
                return True
        return False
