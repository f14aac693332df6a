"""
What went wrong in a session, and how little of it is needed to go wrong again?

A session is run again without one kind of happenings after the other, then without single ones, as long as the same
promise is broken; what is left is told.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from twisted_utp.testing.fuzz.dice import Happening, Plan
from twisted_utp.testing.fuzz.session import Session
from twisted_utp.testing.fuzz.world import Wrong

# Times that a session is run again, at the most.
MAX_TRIES = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """
    A session that failed.

    @ivar promise: the promise that was broken, or where the core raised.
    @ivar details: the exception, with its traceback if it was the core's.
    @ivar happened: what had happened until then.
    @ivar without: what was left out.
    @ivar datagrams: received until then.
    @ivar story: what happened, if that was asked for.
    """

    mode: str
    seed: int
    promise: str
    details: str
    happened: tuple[Happening, ...]
    without: frozenset[str | Happening]
    datagrams: int
    story: tuple[str, ...] = ()

    def tell(self, *, lines: int = 60) -> str:
        """
        All that somebody who looks for the reason wants to read.

        @param lines: of the story, the last ones.
        """
        kinds: dict[str, int] = {}
        for kind, _ in self.happened:
            kinds[kind] = kinds.get(kind, 0) + 1
        counted = ", ".join(f"{kind} ({count})" for kind, count in kinds.items())
        left_out = f"; {len(self.without)} happenings or kinds were left out" if self.without else ""
        return "\n".join(
            [
                f"mode {self.mode}, seed {self.seed}, after {self.datagrams} datagrams{left_out}",
                f"what had happened: {counted or 'nothing out of the ordinary'}",
                *self.story[-lines:],
                self.details,
            ]
        )


def run_session(
    mode: str, seed: int, *, without: frozenset[str | Happening] = frozenset()
) -> tuple[int, Failure | None]:
    """
    Run one session.

    @param without: kinds of happenings that do not happen.
    @return: datagrams received, and what went wrong.
    """
    return _run(mode, seed, without, is_told=False)


def _run(mode: str, seed: int, without: frozenset[str | Happening], *, is_told: bool) -> tuple[int, Failure | None]:
    plan = Plan(mode, seed, without=without)
    if is_told:
        plan.story = []
    session = Session(mode, seed, plan)
    try:
        session.run()
    except Exception as error:
        promise, details = _described(error)
        datagrams = session.world.datagrams
        happened, story = tuple(plan.happened), tuple(plan.story or ())
        return datagrams, Failure(mode, seed, promise, details, happened, without, datagrams, story)
    return session.world.datagrams, None


def _described(error: Exception) -> tuple[str, str]:
    """
    A broken promise; or the place in the core that raised, which is the same for the same mistake.
    """
    if isinstance(error, Wrong):
        return error.promise, f"Wrong: {error}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.name}", "".join(traceback.format_exception(error))


def reduced(failure: Failure) -> Failure:
    """
    The same failure with less around it, and its story.
    """
    tries = 0
    best = failure

    def try_without(more: frozenset[str | Happening]) -> bool:
        nonlocal tries, best
        tries += 1
        again = _run(failure.mode, failure.seed, best.without | more, is_told=False)[1]
        if again is None or again.promise != failure.promise:
            return False
        best = again
        return True

    for kind in sorted({kind for kind, _ in failure.happened}):
        if tries < MAX_TRIES:
            try_without(frozenset((kind,)))
    size = max(len(best.happened) // 2, 1)
    while size and tries < MAX_TRIES:
        start = 0
        while start < len(best.happened) and tries < MAX_TRIES:
            if not try_without(frozenset(best.happened[start : start + size])):
                start += size
        size //= 2
    told = _run(failure.mode, failure.seed, best.without, is_told=True)[1]
    return told if told is not None else best
