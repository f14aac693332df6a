"""
What does somebody who uses a connection do with it, and is what he hears right?

An application writes a stream of its own, pauses, changes settings and closes when its dice say so, also while it is
being called; and it compares each byte that it hears with what the other end's has written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from twisted_utp.proto.connection import Connection
from twisted_utp.proto.events import Connected, ConnectionLost, EndOfStream, Event, LossReason, Writable
from twisted_utp.proto.reconfiguration import reconfigure
from twisted_utp.testing.fuzz.dice import Dice
from twisted_utp.testing.fuzz.world import Wrong
from twisted_utp.testing.simulator import MILLISECOND

if TYPE_CHECKING:
    from twisted_utp.testing.fuzz.end import End

# A prime, so that no size divides it, and what is shifted or another's cannot look right.
BLOCK = 65_521


@lru_cache(maxsize=1)
def _block() -> bytes:
    return Dice("a stream's bytes").bytes(BLOCK) * 2


class Stream:
    """
    The bytes that one application writes.
    """

    __slots__ = ("_shift",)

    def __init__(self, number: int) -> None:
        self._shift = number * 7919

    def part(self, start: int, nbytes: int) -> bytes:
        """
        C{nbytes} of them, from C{start} on.
        """
        at = (start + self._shift) % BLOCK
        if nbytes <= BLOCK:
            return _block()[at : at + nbytes]
        return b"".join(self.part(start + done, min(BLOCK, nbytes - done)) for done in range(0, nbytes, BLOCK))


class Application:
    """
    The user of one connection.

    @ivar connection: its connection.
    @ivar dialled: its end opened the connection.
    @ivar peers: the applications at the other end; several if the network made several connections of one.
    @ivar on_connected: called when its connection is open.
    @ivar is_checked: what it hears must be what its peer has written.
    @ivar written: bytes that it wrote.
    @ivar heard: bytes that it heard.
    @ivar eof: it has closed its writing side, or both (C{closed}).
    @ivar to_write: bytes that it is still to write before it closes; L{None} for one that does as it likes.
    @ivar keepalive: the interval that is set for its connection, seconds.
    @ivar lost: why its connection is no more.
    """

    connection: Connection

    def __init__(self, end: End, number: int, *, polite: bool, is_checked: bool = True) -> None:
        """
        @param polite: it writes a number of bytes, reads to the end and closes, and so must its peer be able to.
        """
        self.end = end
        self.number = number
        self.name = f"{'polite' if polite else 'wild'}-{number}"
        self.polite = polite
        self.is_checked = is_checked
        self.dice = dice = end.world.plan.dice(f"application {number}")
        self.stream = Stream(number)
        self.peers: list[Application] = []
        self.on_connected: Callable[[Application], object] | None = None
        self.to_write = dice.size(18) if polite else None
        self.written = self.heard = 0
        self.dialled = False
        self.connected = self.eof = self.closed = self.aborted = self.heard_eof = self.paused = False
        self.lost: ConnectionLost | None = None
        self.keepalive = end.multiplexer.config.keepalive
        self.is_quiet = False
        self._paused_in = -1
        self._closed_in = -1
        self._busy = dice.pick((10, 200, 3000)) * MILLISECOND
        self._patience = dice.size(7)
        self._chattiness = dice.pick((0.0, 0.2, 1.0))
        if polite:
            # Not all at once, nor always: what is written waits, grows and is answered.
            self._gap = dice.pick((0, 20, 700)) * MILLISECOND
        end.world.call_later(self.dice.below(self._busy), self._act)

    # --- What it hears ----------------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """
        Something happened to its connection.
        """
        if self.lost is not None:
            raise Wrong("nothing follows ConnectionLost", f"{self.name}: {event!r}")
        if isinstance(event, bytes):
            self._hear_data(event)
        elif isinstance(event, EndOfStream):
            self._hear_end()
        elif isinstance(event, Connected):
            if self.connected:
                raise Wrong("Connected comes once", self.name)
            self.connected = True
            if self.on_connected is not None:
                self.on_connected(self)
        elif isinstance(event, ConnectionLost):
            self._hear_loss(event)
        elif not isinstance(event, Writable):
            raise Wrong("events are known", event)
        if not self.polite and not self.is_quiet and self.dice.chance(self._chattiness):
            self._do_something()
        elif self.polite:
            self._go_on()

    def _peer(self, data: bytes) -> Application | None:
        if len(self.peers) > 1:
            start, size = self.heard, len(data)
            for peer in self.peers:
                if peer.written >= start + size and peer.stream.part(start, size) == data:
                    return peer
        return self.peers[0] if self.peers else None

    def _hear_data(self, data: bytes) -> None:
        self._must_be_listening("DataReceived")
        if not data:
            raise Wrong("DataReceived has data", self.name)
        if self.is_checked:
            peer = self._peer(data)
            if peer is None:
                raise Wrong("data comes from somebody", f"{self.name}: {data[:20].hex()}")
            if peer.written < self.heard + len(data):
                raise Wrong("no more comes out than was written", f"{self.name}: {self.heard} and {len(data)}")
            if peer.stream.part(self.heard, len(data)) != data:
                raise Wrong("what comes out is what was written", f"{self.name} from byte {self.heard}")
            if any(other is not self and other.heard for other in peer.peers):
                raise Wrong("what was written is handed over once", f"{self.name}: {peer.name} was heard before")
        self.heard += len(data)

    def _hear_end(self) -> None:
        self._must_be_listening("EndOfStream")
        self.heard_eof = True
        if not self.is_checked:
            return
        if not any(peer.eof and peer.written == self.heard for peer in self.peers):
            known = [(peer.name, peer.written, peer.eof) for peer in self.peers]
            raise Wrong("a stream ends where its writer ended it", f"{self.name} at {self.heard}, {known}")

    def _must_be_listening(self, what: str) -> None:
        turns = self.end.turns
        if not self.connected:
            raise Wrong("Connected comes first", f"{self.name}: {what}")
        if self.heard_eof:
            raise Wrong("nothing follows EndOfStream", f"{self.name}: {what}")
        if self.closed and self._closed_in != turns:
            raise Wrong("nothing is heard after close()", f"{self.name}: {what}")
        if self.paused and self._paused_in != turns:
            raise Wrong("nothing is heard while paused", f"{self.name}: {what}")

    def _hear_loss(self, event: ConnectionLost) -> None:
        if event.fault is not None:
            raise event.fault  # the core has caught what it should not have raised
        self.lost = event
        self.end.living.pop(self, None)
        if event.reason is LossReason.DONE and not self.closed and not self.heard_eof:
            raise Wrong("DONE follows the end of the stream", self.name)
        if event.reason is LossReason.ABORTED and not self.aborted and not self.closed:
            raise Wrong("ABORTED is for who aborted", f"{self.name}: {event!r}")

    # --- What it does -----------------------------------------------------------------------------------------

    def _act(self) -> None:
        """
        A moment of its own has come.
        """
        if self.lost is not None:
            return
        if self.polite:
            self._go_on()
        elif self.is_quiet:
            return
        elif hasattr(self, "connection"):
            self._do_something()
        self.end.turn()
        if self.polite and self.eof:
            return  # it closes when it has heard all
        self.end.world.call_later(1 + self.dice.below(self._busy), self._act)

    def _go_on(self) -> None:
        """
        Write a little, and close when all is written and heard.
        """
        left = self.to_write
        if self.lost is not None or left is None or not hasattr(self, "connection"):
            return
        if left and not self.connection.is_write_full():
            nbytes = min(left, self.dice.size(14))
            self.to_write = left - nbytes
            self._write(nbytes)
        elif not left and not self.eof:
            self._end_writing()
        if self.eof and self.heard_eof and not self.closed:
            self._close()

    def _do_something(self) -> None:
        what = self.dice.pick(_ACTS)
        if what in _ENDS:
            self._patience -= 1
            if self._patience > 0:
                what = "write"
        if self.end.world.plan.happens(f"act.{what}"):
            if self.end.world.plan.story is not None:
                self.end.world.tell(f"{self.end.name} {self.name}: {what}")
            _DOES[what](self)

    def _write(self, nbytes: int | None = None) -> None:
        connection = self.connection
        if connection.is_write_full() and not self.dice.chance(0.02):
            return
        if nbytes is None:
            nbytes = self.dice.size(self.dice.pick((4, 12, 12, 17)))
        before = connection.unsent_bytes
        connection.write(self.stream.part(self.written, nbytes), now=self.end.now)
        # All or nothing: once the FIN has left, or the connection is lost, it is ignored.
        self.written += connection.unsent_bytes - before

    def _end_writing(self) -> None:
        self.connection.write_eof(now=self.end.now)
        self.eof = True

    def _close(self) -> None:
        if not self.closed:
            self._closed_in = self.end.turns
        self.eof = self.closed = True
        self.paused = False
        self.connection.close(now=self.end.now)

    def _abort(self) -> None:
        self.aborted = True
        self.connection.abort(now=self.end.now)

    def _pause(self) -> None:
        self.connection.pause_reading()
        if not self.closed and not self.paused:
            self._paused_in = self.end.turns
            self.paused = True

    def _resume(self) -> None:
        self.paused = False
        self.connection.resume_reading(now=self.end.now)

    def _reconfigure(self) -> None:
        dice = self.dice
        changes: dict[str, Any] = dice.pick(
            (
                {"receive_buffer": dice.pick((16_384, 50_000, 1 << 20))},
                {"send_buffer": dice.pick((4_096, 100_000))},
                {"keepalive": dice.pick((0, 3, 29))},
                {"linger": dice.pick((0, 0.5, 20))},
                {"no_delay": dice.chance(0.5)},
                {"target_delay": dice.pick((0.005, 0.1, 1.0))},
                {"user_timeout": dice.pick((1, 10, 60))},
                {"stall_timeout": dice.pick((0, 5, 600))},
                {"mtu": 600},
                {"linger": -1},
            )
        )
        self.keepalive = changes.get("keepalive", self.keepalive)
        try:
            reconfigure(self.connection, changes, now=self.end.now)
        except ValueError:
            if changes != {"mtu": 600} and changes != {"linger": -1}:
                raise

    def _set_keepalive(self) -> None:
        self.keepalive = self.dice.pick((0, 2, 29))
        self.connection.set_keepalive(self.keepalive, now=self.end.now)

    def _set_close_code(self) -> None:
        self.connection.close_code = self.dice.below(1 << 16)

    def _look(self) -> None:
        self.connection.stats()
        self.end.multiplexer.snapshot()
        self.end.multiplexer.is_idle()

    # --- The end ----------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """
        Stop doing as one likes, and end it one way or another.
        """
        self.is_quiet = True
        if self.lost is not None or self.polite:
            return
        way = self.dice.pick(("close", "close", "abort", "half", "nothing"))
        if way == "abort":
            self._abort()
        elif way == "half":
            self._resume()
            self._end_writing()
        elif way == "close":
            self._close()
        self.end.turn()

    def finish_now(self) -> None:
        """
        Whatever was left open is closed.
        """
        if self.lost is None:
            self._close()
            self.end.turn()


_ACTS = (
    *["write"] * 12,
    *["pause"] * 2,
    *["resume"] * 4,
    "end writing",
    "close",
    "abort",
    "reconfigure",
    "set keepalive",
    "set close code",
    "look",
)

# What ends something is put off for some time, or most connections would be short.
_ENDS = frozenset(("end writing", "close", "abort"))

_DOES: dict[str, Callable[[Application], object]] = {
    "write": Application._write,
    "pause": Application._pause,
    "resume": Application._resume,
    "end writing": Application._end_writing,
    "close": Application._close,
    "abort": Application._abort,
    "reconfigure": Application._reconfigure,
    "set keepalive": Application._set_keepalive,
    "set close code": Application._set_close_code,
    "look": Application._look,
}
