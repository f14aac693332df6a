"""
What can those do who see nothing of a connection, and are many?

They send from any address, also from those of honest peers, and know only what anybody may know: who talks to whom.
Every number is a guess.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_utp.proto.values import Address, Obstacle, ReturnedDatagram
from twisted_utp.testing.fuzz.dice import Dice
from twisted_utp.testing.fuzz.mutator import WINDOWS, odd_extensions
from twisted_utp.testing.fuzz.speaker import OUR_BITS
from twisted_utp.testing.fuzz.world import Inhabitant, World
from twisted_utp.testing.simulator import SECOND
from twisted_utp.testing.wire import DATA, FIN, RESET, STATE, SYN, Header, encode

if TYPE_CHECKING:
    from twisted_utp.testing.fuzz.end import End

STUN = bytes.fromhex("010100002112a442") + bytes(12)
DHT = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"
REMEMBERED = 200
# What somebody who guesses well may get for each byte that he sends (docs/security.rst).
GUESSED = 3


class Strangers:
    """
    All of them.
    """

    def __init__(self, world: World, ends: list[End]) -> None:
        """
        @param ends: who is honest, and whom they bother.
        """
        self.world = world
        self.ends = ends
        self.dice = dice = world.plan.dice("strangers")
        self.is_silent = False
        self._pace = dice.pick((1_000, 50_000, SECOND))
        self._kinds = list(_DOES) if dice.chance(0.5) else [dice.pick(list(_DOES)) for _ in range(2)]
        self._crowd = [self._somewhere() for _ in range(dice.pick((1, 20, 1000)))]
        self._carried: deque[tuple[Address, Address, bytes]] = deque(maxlen=REMEMBERED)
        world.on_carried = self._overhear
        world.call_later(dice.below(SECOND), self._act)

    def _overhear(self, sender: Inhabitant, destination: Address, data: bytes) -> None:
        """
        Not to learn from: to say it again much later, as networks have been seen to do.
        """
        self._carried.append((sender.public, destination, data))

    def _somewhere(self) -> Address:
        dice = self.dice
        if dice.chance(0.1):
            return f"2001:db8::{dice.below(1 << 16):x}", 1 + dice.below(65_535)
        return ".".join(str(dice.between(1, 250)) for _ in range(4)), 1 + dice.below(65_535)

    def _act(self) -> None:
        if self.is_silent:
            return
        kind = self.dice.pick(self._kinds)
        if self.world.plan.happens(f"strangers.{kind}"):
            if self.world.plan.story is not None:
                self.world.tell(f"strangers: {kind}")
            _DOES[kind](self)
        self.world.call_later(1 + self.dice.below(2 * self._pace), self._act)

    # --- What they do -----------------------------------------------------------------------------------------

    def _flow(self) -> tuple[End, Address]:
        """
        An honest end, and the address of somebody with whom it may be connected.
        """
        target = self.dice.pick(self.ends)
        others = [end.public for end in self.ends if end is not target]
        return target, self.dice.pick(others) if others else self._somewhere()

    def _flood(self) -> None:
        target, dice = self.dice.pick(self.ends), self.dice
        for _ in range(dice.size(8)):
            self.world.forge(target, syn(dice), self._somewhere(), delay=dice.below(self._pace))

    def _flood_from_few(self) -> None:
        target, dice = self.dice.pick(self.ends), self.dice
        for _ in range(dice.size(8)):
            self.world.forge(target, syn(dice), dice.pick(self._crowd), delay=dice.below(self._pace))

    def _flood_in_honest_names(self) -> None:
        target, peer = self._flow()
        for _ in range(self.dice.size(3)):
            self.world.forge(target, syn(self.dice), (peer[0], 1 + self.dice.below(65_535)))

    def _strays(self) -> None:
        target, dice = self.dice.pick(self.ends), self.dice
        for _ in range(dice.size(6)):
            self.world.forge(target, guess(dice), dice.pick(self._crowd), delay=dice.below(self._pace))

    def _strays_from_honest_hosts(self) -> None:
        target, peer = self._flow()
        for _ in range(self.dice.size(4)):
            self.world.forge(target, guess(self.dice), (peer[0], 1 + self.dice.below(65_535)))

    def _guesses(self) -> None:
        target, address = self._flow()
        for _ in range(self.dice.size(7)):
            self.world.forge(target, guess(self.dice), address, delay=self.dice.below(self._pace))

    def _resets(self) -> None:
        target, address = self._flow()
        for _ in range(self.dice.size(7)):
            self.world.forge(target, guess(self.dice, RESET), address)

    def _icmp(self) -> None:
        target, address = self._flow()
        dice = self.dice
        quoted = guess(dice, dice.pick((DATA, STATE, SYN)))[: dice.pick((0, 8, 19, 20, 20, 20, 500))]
        target.returned(ReturnedDatagram(address, quoted, dice.pick(tuple(Obstacle)), dice.pick((0, 68, 548, 1400))))

    def _junk(self) -> None:
        target, dice = self.dice.pick(self.ends), self.dice
        for _ in range(dice.size(4)):
            data = dice.pick((b"", STUN, DHT, dice.bytes(dice.size(10)), b"\x01" + dice.bytes(dice.size(6))))
            self.world.forge(target, data, dice.pick(self._crowd))

    def _blind_initiator(self) -> None:
        """
        A SYN in somebody's name, and guesses of what its answer said.
        """
        target, dice = self.dice.pick(self.ends), self.dice
        address, recv_id, seq, ack = (
            dice.pick(self._crowd),
            dice.getrandbits(16),
            dice.getrandbits(16),
            dice.getrandbits(16),
        )
        syn = encode(Header(SYN, recv_id, 1, 0, 1 << 20, seq, 0))
        self.world.forge(target, syn, address, factor=GUESSED)
        for step in range(dice.size(6)):
            numbers = (1, 1000, 1 << 20, seq + 1 & 0xFFFF, ack + step & 0xFFFF)
            header = Header(dice.pick((STATE, DATA)), recv_id + 1 & 0xFFFF, *numbers)
            self.world.forge(target, encode(header), address, delay=1000 + step, factor=GUESSED)

    def _say_again(self) -> None:
        """
        Honest packets of some time ago, from where they came and from elsewhere.
        """
        if not self._carried:
            return
        for _ in range(self.dice.size(5)):
            source, destination, data = self.dice.pick(self._carried)
            target = self.world.at.get(destination)
            if target is None or target not in self.ends:
                continue
            if self.dice.chance(0.3):
                source = self.dice.pick(self._crowd)
            self.world.forge(target, data, source, delay=SECOND + self.dice.below(30 * SECOND))


def syn(dice: Dice) -> bytes:
    """
    Anybody's SYN.
    """
    kind = dice.below(8)
    extensions = (OUR_BITS,) if kind < 3 else odd_extensions(dice) if kind == 3 else ()
    numbers = (dice.getrandbits(16), dice.getrandbits(32), 0, dice.pick(WINDOWS), dice.getrandbits(16), 0)
    return encode(Header(SYN, *numbers, extensions))


def guess(dice: Dice, kind: int | None = None) -> bytes:
    """
    A packet of which every number is a guess.
    """
    if kind is None:
        kind = dice.pick((DATA, FIN, STATE, RESET))
    extensions = odd_extensions(dice) if dice.chance(0.1) else ()
    payload = b"evil" if kind == DATA else b""
    numbers = (dice.getrandbits(16), dice.getrandbits(32), dice.getrandbits(32), dice.pick(WINDOWS))
    return encode(Header(kind, *numbers, dice.getrandbits(16), dice.getrandbits(16), extensions, payload))


_DOES: dict[str, Callable[[Strangers], object]] = {
    "flood": Strangers._flood,
    "flood from few": Strangers._flood_from_few,
    "flood in honest names": Strangers._flood_in_honest_names,
    "strays": Strangers._strays,
    "strays from honest hosts": Strangers._strays_from_honest_hosts,
    "guesses": Strangers._guesses,
    "resets": Strangers._resets,
    "icmp": Strangers._icmp,
    "junk": Strangers._junk,
    "blind initiator": Strangers._blind_initiator,
    "say again": Strangers._say_again,
}
