"""
What if a peer knows the protocol well, and keeps to it only as long as it likes?

A L{Speaker} follows what it is told: it knows what it has received and sent, so each of its packets can be right, or
wrong by exactly as much as it wants.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_utp.proto.values import Address, Datagram, ReturnedDatagram
from twisted_utp.testing.fuzz.mutator import DIFFERENCES, SACK, WINDOWS, near_or_far, odd_extensions, sack_body
from twisted_utp.testing.fuzz.weather import Weather
from twisted_utp.testing.fuzz.world import NEVER, World
from twisted_utp.testing.simulator import MILLISECOND, SECOND
from twisted_utp.testing.wire import DATA, FIN, RESET, STATE, SYN, Header, decode_or_none, encode

OUR_BITS = (2, (0x74777574 << 32).to_bytes(8, "big"))
MAX_TALKS = 12


class Talk:
    """
    What a speaker knows of one connection.

    @ivar seq: seq_nr of its next packet that consumes one.
    @ivar ack: what it has received in order.
    @ivar highest: the highest seq_nr that it was sent.
    """

    __slots__ = ("ack", "ahead", "difference", "highest", "peer", "send_id", "seq", "wnd_size")

    def __init__(self, peer: Address, send_id: int, seq: int, ack: int) -> None:
        self.peer = peer
        self.send_id = send_id
        self.seq = seq
        self.ack = self.highest = ack
        self.ahead: set[int] = set()
        self.wnd_size = 1 << 20
        self.difference = 1000

    def note(self, seq: int) -> None:
        """
        DATA or FIN with that number has come.
        """
        distance = seq - self.ack & 0xFFFF
        if not 0 < distance < 1 << 15:
            return
        if seq - self.highest & 0xFFFF < 1 << 15:
            self.highest = seq
        self.ahead.add(seq)
        while self.ack + 1 & 0xFFFF in self.ahead:
            self.ack = self.ack + 1 & 0xFFFF
            self.ahead.discard(self.ack)

    def sack(self) -> bytes:
        """
        The selective ack that is true.
        """
        mask = 0
        for seq in self.ahead:
            bit = (seq - self.ack & 0xFFFF) - 2
            if 0 <= bit < 1024:
                mask |= 1 << bit
        return mask.to_bytes(128, "little")


class Speaker:
    """
    A peer without a core.
    """

    coalesce = 0
    up: Weather | None = None
    down: Weather | None = None

    def __init__(self, world: World, name: str, address: Address, targets: list[Address]) -> None:
        """
        @param targets: whom it dials.
        """
        self.world = world
        self.name = name
        self.public = address
        self.dice = dice = world.plan.dice(f"speaker {name}")
        self.talks: dict[int, Talk] = {}
        self.deadline = world.now + dice.below(SECOND)
        self._targets = targets
        self._dialled: dict[int, Talk] = {}
        self._gap = dice.pick((100, 5 * MILLISECOND, 300 * MILLISECOND))
        self._honesty = dice.pick((0.2, 0.6, 0.95))
        self._acts = list(_ACTS) if dice.chance(0.5) else [dice.pick(_ACTS) for _ in range(4)]
        world.add(self)

    # --- Inhabitant -------------------------------------------------------------------------------------------

    def receive(self, datagrams: list[Datagram]) -> None:
        """
        Learn from what comes, and mostly acknowledge it.
        """
        touched: dict[int, Talk] = {}
        for datagram in datagrams:
            header = decode_or_none(datagram.data)
            talk = None if header is None else self._learn(header, datagram.address)
            if talk is not None:
                touched[talk.send_id] = talk
        for talk in touched.values():
            if self.dice.chance(self._honesty):
                self.acknowledge(talk)
            else:
                self._say_anything(talk)

    def _learn(self, header: Header, address: Address) -> Talk | None:
        now = self.world.now
        if header.type == SYN:
            return self._answer_syn(header, address)
        talk = self.talks.get(header.connection_id)
        if talk is None:
            talk = self._dialled.pop(header.connection_id, None)
            if talk is None or header.type != STATE:
                return None
            self.talks[header.connection_id] = talk
            talk.ack = talk.highest = header.seq_nr - 1 & 0xFFFF
        talk.difference = now - header.timestamp & 0xFFFFFFFF
        talk.peer = address
        if header.type in (DATA, FIN):
            talk.note(header.seq_nr)
            return talk
        return None

    def _answer_syn(self, header: Header, address: Address) -> Talk | None:
        dice = self.dice
        recv_id = header.connection_id + 1 & 0xFFFF
        talk = self.talks.get(recv_id)
        if talk is None:
            talk = Talk(address, header.connection_id, dice.getrandbits(16), header.seq_nr)
            if len(self.talks) < MAX_TALKS:
                self.talks[recv_id] = talk
        kind = STATE if dice.chance(self._honesty) else dice.pick((DATA, FIN, RESET, SYN, STATE))
        bits = (OUR_BITS,) if dice.chance(0.5) else ()
        self.say(talk, kind, extensions=bits)
        return None

    def wake(self) -> None:
        """
        Say something to somebody.
        """
        dice = self.dice
        self.deadline = self.world.now + 1 + dice.below(dice.pick((1, 1, 1, 40)) * self._gap)
        if self._targets and len(self.talks) + len(self._dialled) < MAX_TALKS and dice.chance(0.05):
            self._dial(dice.pick(self._targets))
        elif self.talks:
            talk = dice.pick(list(self.talks.values()))
            if dice.chance(self._honesty / 2):
                self.say_data(talk)
            else:
                self._say_anything(talk)
        else:
            # Nobody to talk to: most of the time is spent in waiting for somebody.
            self.deadline += self._gap

    def returned(self, returned: ReturnedDatagram) -> None:
        """
        It is used to that.
        """

    def fall_silent(self) -> None:
        """
        Say no more of its own accord.
        """
        self.deadline = NEVER

    # --- Words ------------------------------------------------------------------------------------------------

    def _dial(self, target: Address) -> None:
        dice = self.dice
        recv_id = dice.getrandbits(16)
        talk = Talk(target, recv_id, dice.getrandbits(16), 0)
        self._dialled[recv_id] = talk
        if len(self._dialled) > MAX_TALKS:
            del self._dialled[next(iter(self._dialled))]
        bits = (OUR_BITS,) if dice.chance(0.5) else odd_extensions(dice) if dice.chance(0.2) else ()
        self.say(talk, SYN, extensions=bits)
        talk.send_id = recv_id + 1 & 0xFFFF
        talk.seq = talk.seq + 1 & 0xFFFF

    def say(
        self,
        talk: Talk,
        kind: int,
        payload: bytes = b"",
        *,
        seq: int | None = None,
        ack: int | None = None,
        extensions: tuple[tuple[int, bytes], ...] = (),
    ) -> None:
        """
        Send a packet; what is not given is as it should be.
        """
        self.world.carry(
            self,
            talk.peer,
            encode(
                Header(
                    kind,
                    talk.send_id,
                    self.world.now & 0xFFFFFFFF,
                    talk.difference,
                    talk.wnd_size,
                    talk.seq if seq is None else seq,
                    talk.ack if ack is None else ack,
                    extensions,
                    payload,
                )
            ),
        )

    def acknowledge(self, talk: Talk) -> None:
        """
        A true STATE.
        """
        self.say(talk, STATE, extensions=((SACK, talk.sack()),) if talk.ahead else ())

    def say_data(self, talk: Talk, kind: int = DATA) -> None:
        """
        The next packet of its stream, or some.
        """
        for _ in range(1 if kind == FIN else self.dice.size(4)):
            self.say(talk, kind, b"" if kind == FIN else self.dice.bytes(self.dice.size(10)))
            talk.seq = talk.seq + 1 & 0xFFFF

    def _say_anything(self, talk: Talk) -> None:
        name = self.dice.pick(self._acts)
        if self.world.plan.happens(f"speak.{name}"):
            if self.world.plan.story is not None:
                self.world.tell(f"{self.name}: {name}")
            _WORDS[name](self, talk)

    def _ahead(self, talk: Talk) -> None:
        dice = self.dice
        for _ in range(dice.size(6)):
            seq = talk.seq + dice.size(dice.pick((3, 9, 15))) & 0xFFFF
            self.say(talk, DATA, dice.bytes(dice.pick((0, 1, 1, 100, 1400))), seq=seq)

    def _old(self, talk: Talk) -> None:
        self.say(talk, self.dice.pick((DATA, FIN)), b"old", seq=near_or_far(self.dice, talk.seq))

    def _fin(self, talk: Talk) -> None:
        self.say_data(talk, FIN)

    def _fin_again(self, talk: Talk) -> None:
        for seq in (talk.seq - 1, talk.seq - 1, talk.seq, talk.seq + 1):
            self.say(talk, FIN, seq=seq & 0xFFFF)

    def _fin_ahead(self, talk: Talk) -> None:
        self.say(talk, FIN, seq=talk.seq + self.dice.size(12) & 0xFFFF)

    def _reset(self, talk: Talk) -> None:
        ack = talk.ack if self.dice.chance(0.3) else near_or_far(self.dice, talk.ack)
        self.say(talk, RESET, ack=ack)

    def _optimistic(self, talk: Talk) -> None:
        ahead = self.dice.size(10)
        self.say(talk, STATE, ack=(talk.highest if self.dice.chance(0.5) else talk.ack + ahead) & 0xFFFF)

    def _ascending(self, talk: Talk) -> None:
        for step in range(self.dice.size(6)):
            self.say(talk, STATE, ack=talk.ack + step & 0xFFFF)

    def _sack_lies(self, talk: Talk) -> None:
        back = self.dice.between(0, 3)
        self.say(talk, STATE, ack=talk.ack - back & 0xFFFF, extensions=((SACK, sack_body(self.dice)),))

    def _last_first(self, talk: Talk) -> None:
        """
        The last packet, or all but the first few, by name; then all of them.
        """
        back = self.dice.between(1, 4)
        ack = talk.highest - back & 0xFFFF
        mask = 1 << max(back - 2, 0) if self.dice.chance(0.7) else (1 << back) - 1
        self.say(talk, STATE, ack=ack, extensions=((SACK, mask.to_bytes(4, "little")),))
        if self.dice.chance(0.7):
            self.acknowledge(talk)

    def _sack_all_but_one(self, talk: Talk) -> None:
        """
        Everything has come but the first packet, for ever.
        """
        length = max((talk.highest - talk.ack & 0xFFFF) - 1, 0) % 2000
        self.say(talk, STATE, extensions=((SACK, ((1 << length) - 1).to_bytes(252, "little")),))

    def _duplicates(self, talk: Talk) -> None:
        for _ in range(self.dice.between(1, 5)):
            self.say(talk, STATE)

    def _window(self, talk: Talk) -> None:
        talk.wnd_size = self.dice.pick(WINDOWS)
        self.say(talk, STATE)

    def _keepalive(self, talk: Talk) -> None:
        self.say(talk, STATE, ack=talk.ack - 1 & 0xFFFF)

    def _delay(self, talk: Talk) -> None:
        talk.difference = self.dice.pick(DIFFERENCES)

    def _syn(self, talk: Talk) -> None:
        dice = self.dice
        talk = Talk(talk.peer, talk.send_id - dice.below(2) & 0xFFFF, talk.seq - dice.below(3) & 0xFFFF, 0)
        self.say(talk, SYN)

    def _odd(self, talk: Talk) -> None:
        self.say(talk, self.dice.pick((STATE, DATA, FIN)), b"x", extensions=odd_extensions(self.dice))

    def _huge(self, talk: Talk) -> None:
        self.say(talk, DATA, bytes(self.dice.pick((9_000, 65_000))))
        talk.seq = talk.seq + 1 & 0xFFFF

    def _empty_data(self, talk: Talk) -> None:
        for _ in range(self.dice.size(8)):
            self.say(talk, DATA)
            talk.seq = talk.seq + 1 & 0xFFFF

    def _state_with_payload(self, talk: Talk) -> None:
        self.say(talk, STATE, b"nobody expects this")

    def _train(self, talk: Talk) -> None:
        """
        What the kernel merged, with a part whose number does not follow, or twice the same.
        """
        target = self.world.at.get(talk.peer)
        if target is None or self.world.is_cut:
            return
        dice, packets = self.dice, []
        size, seq = dice.pick((1, 100, 1400)), talk.seq
        for _ in range(dice.between(2, 40)):
            header = Header(
                DATA, talk.send_id, 1, talk.difference, talk.wnd_size, seq & 0xFFFF, talk.ack, (), bytes(size)
            )
            packets.append(encode(header))
            seq += 1 if dice.chance(0.9) else dice.below(4)
        data = b"".join(packets)
        self.world.arrive(self.world.now, target, data[: len(data) - dice.below(20)], self.public, 20 + size)
        talk.seq = seq & 0xFFFF

    def _forget(self, talk: Talk) -> None:
        for recv_id in [known for known, one in self.talks.items() if one is talk]:
            del self.talks[recv_id]


_WORDS: dict[str, Callable[[Speaker, Talk], object]] = {
    "ack": Speaker.acknowledge,
    "data": Speaker.say_data,
    "ahead": Speaker._ahead,
    "old": Speaker._old,
    "fin": Speaker._fin,
    "fin again": Speaker._fin_again,
    "fin ahead": Speaker._fin_ahead,
    "reset": Speaker._reset,
    "optimistic": Speaker._optimistic,
    "ascending": Speaker._ascending,
    "sack lies": Speaker._sack_lies,
    "last first": Speaker._last_first,
    "sack all but one": Speaker._sack_all_but_one,
    "duplicates": Speaker._duplicates,
    "window": Speaker._window,
    "keepalive": Speaker._keepalive,
    "delay": Speaker._delay,
    "syn": Speaker._syn,
    "odd": Speaker._odd,
    "huge": Speaker._huge,
    "empty data": Speaker._empty_data,
    "state with payload": Speaker._state_with_payload,
    "train": Speaker._train,
    "forget": Speaker._forget,
}
_ACTS = tuple(_WORDS)
