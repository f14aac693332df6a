"""
Passes a port's rate limits on to its connections, and decides which of them is served when.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.rate_limit import Taker, TokenBucket, Turns, lowest
from twisted_utp.proto.receive_limit import ReceiveLimit, on_grant
from twisted_utp.proto.send_limit import SendLimit
from twisted_utp.proto.timers import NEVER

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection

T = TypeVar("T", bound=Taker)


class PortRates:
    """
    The limits of one UDP port.

    @ivar sending: shared by what all its connections send, L{None} for no limit; C{receiving} by what they receive.
    """

    __slots__ = ("receiving", "sending")

    def __init__(self) -> None:
        self.sending: Turns[SendLimit] | None = None
        self.receiving: Turns[ReceiveLimit] | None = None

    def follow(self, config: UTPConfig, connections: Iterable[Connection]) -> None:
        """
        The port has these settings now.
        """
        sending, receiving = self.sending, self.receiving
        self.sending = _turns(sending, lowest(config.max_port_rate, config.max_port_send_rate))
        self.receiving = _turns(receiving, lowest(config.max_port_rate, config.max_port_receive_rate))
        if sending is not self.sending or receiving is not self.receiving:
            for connection in connections:
                self.attach(connection)
                connection.settings_changed()

    def attach(self, connection: Connection) -> None:
        """
        A connection is new, or has other settings, or its port has.
        """
        config, sender, receiver = connection.config, connection.sender, connection.receiver
        if not (
            config.max_rate
            or config.max_send_rate
            or config.max_receive_rate
            or self.sending is not None
            or self.receiving is not None
            or sender.limit is not None
            or receiver.limit is not None
        ):
            return  # the usual case
        self._attach_sending(connection, lowest(config.max_rate, config.max_send_rate))
        self._attach_receiving(connection, lowest(config.max_rate, config.max_receive_rate))

    def _attach_sending(self, connection: Connection, rate: int) -> None:
        sender = connection.sender
        limit = sender.limit
        if not rate and self.sending is None:
            if limit is not None:
                limit.leave()
            sender.limit = None
            return
        if limit is None:
            limit = sender.limit = SendLimit(connection)
        if limit.turns is not self.sending:
            limit.leave()
            limit.turns = self.sending
        if not rate:
            limit.own = None
        elif limit.own is None:
            limit.own = TokenBucket(rate)
        else:
            limit.own.set_rate(rate)

    def _attach_receiving(self, connection: Connection, rate: int) -> None:
        receiver = connection.receiver
        limit = receiver.limit
        if not rate and self.receiving is None:
            if limit is not None:
                limit.leave()
            receiver.limit = None
            return
        if limit is None:
            limit = receiver.limit = ReceiveLimit(connection, receiver.arrived_bytes)
        if limit.turns is not self.receiving:
            limit.leave()
            limit.turns = self.receiving
        limit.set_rate(rate)

    def detach(self, connection: Connection) -> None:
        """
        A connection is gone.
        """
        for limit in (connection.sender.limit, connection.receiver.limit):
            if limit is not None:
                limit.leave()
                limit.connection = None

    def snapshot(self) -> dict[str, Any]:
        """
        What L{PortStats <twisted_utp.proto.stats.PortStats>} says of them.
        """
        sending, receiving = self.sending, self.receiving
        return {
            "max_send_rate": 0 if sending is None else round(sending.bucket.rate * 1e6),
            "max_receive_rate": 0 if receiving is None else round(receiving.bucket.rate * 1e6),
            "waiting_to_send": 0 if sending is None else len(sending),
            "waiting_to_receive": 0 if receiving is None else len(receiving),
        }

    def next_at(self) -> int:
        """
        When somebody's turn comes, L{NEVER} when nobody waits.
        """
        if self.sending is None and self.receiving is None:
            return NEVER
        sending = NEVER if self.sending is None else self.sending.next_at()
        return sending if self.receiving is None else min(sending, self.receiving.next_at())

    def serve(self, now: int) -> list[Connection]:
        """
        Whose turn it is: they may have something to send.
        """
        served = []
        if self.sending is not None:
            for sending, amount in self.sending.serve(now):
                sending.grant(amount)
                served.append(sending.connection)
        if self.receiving is not None:
            for receiving, amount in list(self.receiving.serve(now)):
                if receiving.connection is not None:
                    on_grant(receiving.connection, receiving, amount, now)
                    served.append(receiving.connection)
        return [connection for connection in served if connection is not None]


def _turns(turns: Turns[T] | None, rate: int) -> Turns[T] | None:
    if not rate:
        return None
    if turns is None:
        return Turns(rate)
    turns.bucket.set_rate(rate)
    return turns
