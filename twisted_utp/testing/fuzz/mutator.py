"""
What if an honest peer's packets are not what they were when they left?

Each mutation knows the protocol: it changes a field by a little or by much, lies about one thing and keeps the rest
plausible, so that what comes of it is taken seriously for as long as possible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_utp.proto.values import Address
from twisted_utp.testing.fuzz.dice import Dice
from twisted_utp.testing.fuzz.world import Inhabitant, World
from twisted_utp.testing.simulator import SECOND
from twisted_utp.testing.wire import DATA, FIN, RESET, STATE, SYN, Header, decode_or_none, encode

if TYPE_CHECKING:
    from twisted_utp.testing.fuzz.end import End

BITS, SACK, CLOSE_REASON = 2, 1, 3
SACK_LENGTHS = (0, 1, 2, 3, 4, 4, 8, 31, 32, 128, 252, 255)
WINDOWS = (0, 0, 1, 19, 100, 1500, 65_535, 1 << 20, (1 << 32) - 1)
DIFFERENCES = (0, 1, 1000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
REMEMBERED = 64


def near_or_far(dice: Dice, number: int) -> int:
    """
    A sequence number beside another, or anywhere.
    """
    if dice.chance(0.1):
        return dice.getrandbits(16)
    return number + dice.pick((-1, 1, -2, 2, -3, 3, 5, 17, 500, 897, 1023, -1000, 16_000, 32_767, -32_768)) & 0xFFFF


def sack_body(dice: Dice) -> bytes:
    """
    A selective ack of any length and truth.
    """
    length = dice.pick(SACK_LENGTHS)
    kind = dice.below(4)
    if kind == 0:
        return bytes(length)
    if kind == 1:
        return b"\xff" * length
    if kind == 2:
        return b"\x01" + bytes(length - 1) if length else b""
    return dice.bytes(length)


def odd_extensions(dice: Dice) -> tuple[tuple[int, bytes], ...]:
    """
    A chain that no stack sends.
    """
    kind = dice.below(5)
    if kind == 0:
        return ((SACK, sack_body(dice)),) * dice.between(2, 4)
    if kind == 1:
        return tuple((dice.pick((SACK, BITS, 127)), b"") for _ in range(dice.size(8)))
    if kind == 2:
        return ((BITS, dice.bytes(dice.pick((0, 4, 7, 8, 9)))),)
    if kind == 3:
        return ((SACK, sack_body(dice)), (CLOSE_REASON, dice.bytes(dice.pick((0, 2, 4, 5)))))
    return tuple((dice.below(256), dice.bytes(dice.below(40))) for _ in range(dice.between(1, 5)))


def _sequence(header: Header, dice: Dice) -> Header:
    return header._replace(seq_nr=near_or_far(dice, header.seq_nr))


def _acknowledgement(header: Header, dice: Dice) -> Header:
    return header._replace(ack_nr=near_or_far(dice, header.ack_nr))


def _type(header: Header, dice: Dice) -> Header:
    return header._replace(type=dice.pick((DATA, FIN, STATE, RESET, SYN)))


def _connection_id(header: Header, dice: Dice) -> Header:
    return header._replace(connection_id=header.connection_id + dice.pick((-1, 1, 2, 255)) & 0xFFFF)


def _window(header: Header, dice: Dice) -> Header:
    return header._replace(wnd_size=dice.pick(WINDOWS))


def _shut_window(header: Header, dice: Dice) -> Header:
    return header._replace(wnd_size=0)


def _timestamp(header: Header, dice: Dice) -> Header:
    by = dice.pick((-1, 1, 1000, -SECOND, SECOND, 1 << 31))
    return header._replace(timestamp=0 if dice.chance(0.2) else header.timestamp + by & 0xFFFFFFFF)


def _difference(header: Header, dice: Dice) -> Header:
    return header._replace(timestamp_difference=dice.pick(DIFFERENCES))


def _sack(header: Header, dice: Dice) -> Header:
    return header._replace(extensions=((SACK, sack_body(dice)),))


def _sack_behind(header: Header, dice: Dice) -> Header:
    """
    What is acknowledged is told as a selective ack, one or some behind.
    """
    back = dice.between(1, 3)
    mask = (1 << back - 1) - 1
    return header._replace(ack_nr=header.ack_nr - back & 0xFFFF, extensions=((SACK, mask.to_bytes(4, "little")),))


def _extensions(header: Header, dice: Dice) -> Header:
    return header._replace(extensions=odd_extensions(dice))


def _payload(header: Header, dice: Dice) -> Header:
    nbytes = dice.pick((0, 1, 7, len(header.payload) + 1, 1472))
    return header._replace(payload=(header.payload + bytes(nbytes))[:nbytes])


def _fin(header: Header, dice: Dice) -> Header:
    return header._replace(type=FIN, payload=b"" if dice.chance(0.8) else b"late")


def _reset(header: Header, dice: Dice) -> Header:
    return header._replace(type=RESET, payload=b"", extensions=())


MUTATIONS: dict[str, Callable[[Header, Dice], Header]] = {
    "seq": _sequence,
    "ack": _acknowledgement,
    "type": _type,
    "id": _connection_id,
    "window": _window,
    "window 0": _shut_window,
    "timestamp": _timestamp,
    "difference": _difference,
    "sack": _sack,
    "sack behind": _sack_behind,
    "extensions": _extensions,
    "payload": _payload,
    "fin": _fin,
    "reset": _reset,
}
# They end most connections, so they come later than others.
FATAL = frozenset(("reset", "type", "fin", "seq"))
# What concerns the whole datagram, or several.
WHOLE = ("cut", "longer", "flip", "replay", "twice", "train", "split", "hold", "lose")


class Mutator:
    """
    Stands between an end and the network.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.dice = dice = world.plan.dice(f"mutator {name}")
        self._share = dice.pick((0.01, 0.05, 0.3))
        self._spared = dice.size(9)  # packets before anything fatal
        self._kinds = list(MUTATIONS) if dice.chance(0.5) else [dice.pick(list(MUTATIONS)) for _ in range(3)]
        self._habit: str | None = None
        self._sent: deque[bytes] = deque(maxlen=REMEMBERED)

    def send(self, end: End, destination: Address, data: bytes, dont_fragment: bool) -> None:
        """
        Send a datagram of C{end}, or something else.
        """
        dice, world = self.dice, self.world
        self._spared -= 1
        kind = self._habit
        if dice.chance(0.01):
            self._habit = None if self._habit else dice.pick(self._kinds)
        if kind is None and dice.chance(self._share):
            kind = dice.pick(WHOLE) if dice.chance(0.3) else dice.pick(self._kinds)
        self._sent.append(data)
        if kind is None or (kind in FATAL and self._spared > 0) or not world.plan.happens(f"mutate.{kind}"):
            world.carry(end, destination, data, dont_fragment=dont_fragment)
            return
        if world.plan.story is not None:
            world.tell(f"{end.name} mutated: {kind}")
        header = decode_or_none(data)
        if kind in MUTATIONS and header is not None:
            world.carry(end, destination, encode(MUTATIONS[kind](header, dice)))
        else:
            self._send_whole(kind, end, destination, data)

    def _send_whole(self, kind: str, end: Inhabitant, destination: Address, data: bytes) -> None:
        dice, carry = self.dice, self.world.carry
        if kind == "cut":
            carry(end, destination, data[: dice.below(len(data) + 1)])
        elif kind == "longer":
            carry(end, destination, data + dice.bytes(dice.pick((1, 20, 1400))))
        elif kind == "flip":
            at = dice.below(len(data) * 8)
            carry(end, destination, data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :])
        elif kind == "replay":
            carry(end, destination, data)
            carry(end, destination, dice.pick(self._sent))
        elif kind == "twice":
            carry(end, destination, data)
            carry(end, destination, data)
        elif kind == "train":
            self._send_train(end, destination)
        elif kind == "split":
            at = dice.below(len(data))
            carry(end, destination, data[:at])
            carry(end, destination, data[at:])
        elif kind == "hold":
            self.world.call_later(dice.below(5 * SECOND), lambda: carry(end, destination, data))

    def _send_train(self, end: Inhabitant, destination: Address) -> None:
        """
        What the kernel would never merge: any packets, in parts of any size.
        """
        target = self.world.at.get(destination)
        if target is None or self.world.is_cut:
            return
        count = min(self.dice.between(1, 40), len(self._sent))
        train = b"".join(list(self._sent)[-count:])
        size = self.dice.pick(
            (1, 19, 20, 21, len(self._sent[-1]), len(self._sent[0]), 1400, len(train), len(train) + 1)
        )
        self.world.arrive(self.world.now, target, train, end.public, size)
