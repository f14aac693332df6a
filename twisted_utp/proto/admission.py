"""
Decides whether a SYN may open a connection: limits, cookies, accept policy.

The limits of the settings first, then the user's policy; and when only the backlog is full, a cookie.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from enum import Enum
from typing import TYPE_CHECKING

from twisted_utp.proto.acceptance import PortLoad, Verdict
from twisted_utp.proto.connection_counts import ConnectionCounts
from twisted_utp.proto.syn_cookies import SynCookies

if TYPE_CHECKING:
    from random import Random

    from twisted_utp.proto.config import UTPConfig
    from twisted_utp.proto.stats import PortCounters
    from twisted_utp.proto.values import Address

# Connections that linger may be as many as those in use: it takes a peer a whole exchange to make one.
_KNOWN_FACTOR = 2


class Admission(Enum):
    """
    What becomes of a SYN.
    """

    OPEN = "a connection"
    COOKIE = "an answer that keeps nothing"
    RESET = "a refusal"
    SILENCE = "nothing"


_REFUSALS: dict[object, Admission] = {Verdict.RESET: Admission.RESET, Verdict.SILENCE: Admission.SILENCE}


class Gate:
    """
    Who gets in.

    @ivar policy: asked after the limits, when there is one.
    @ivar connection_counts: what is there.
    @ivar cookies: answers to SYNs beyond the backlog.
    """

    __slots__ = ("_counters", "connection_counts", "cookies", "policy")

    def __init__(self, rng: Random, counters: PortCounters) -> None:
        # A user's function, which may return what its type does not allow.
        self.policy: Callable[[Address, PortLoad], object] | None = None
        self.connection_counts = ConnectionCounts()
        self.cookies = SynCookies(rng)
        self._counters = counters

    def judge(self, address: Address, config: UTPConfig, known: Sized, *, is_confirmed: bool = False) -> Admission:
        """
        Judge a SYN that is new.

        @param known: all connections, those that linger included.
        @param is_confirmed: its sender has proved its address: the backlog is no matter.
        """
        refusal = Admission.SILENCE if config.refuse_silently else Admission.RESET
        if self.is_full(address, config, known):
            return refusal
        if self.policy is not None:
            verdict = self.policy(address, self.connection_counts.load(address[0]))
            if verdict is not True and verdict is not Verdict.ACCEPT:
                self._counters.policy_refusals += 1
                return refusal if verdict is False else _REFUSALS.get(verdict, refusal)
        if not is_confirmed and self.connection_counts.half_open >= config.backlog:
            return Admission.COOKIE
        return Admission.OPEN

    def is_full(self, address: Address, config: UTPConfig, known: Sized) -> bool:
        """
        Is there no place for one more connection, with that host or at all?

        Only peers that have proved their address take places.

        @param known: see L{judge}.
        """
        connection_counts = self.connection_counts
        return (
            connection_counts.connections >= config.max_connections
            or len(known) >= _KNOWN_FACTOR * config.max_connections
            or connection_counts.with_host(address[0]) >= config.max_per_host
        )
