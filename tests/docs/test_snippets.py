"""
Is every command and every snippet of the README and the documentation run, and does it do what the page says?

The README, the tutorial and the how-to pages are run by C{test_howto.py}, so that two processors can share the work.
"""

from __future__ import annotations

from typing import Any

REASONS = {
    "installs the package: .ci/run runs it",
    "needs root",
    "runs all tests",
    "needs another program",
    "takes a quarter of an hour",
}


def test_every_block_is_run_or_says_why_not(blocks: list[Any], is_run: bool) -> None:
    """
    A command or a snippet is run, unless one of few reasons prevents it; what is neither has nothing to be run.
    """
    runnable = [block for block in blocks if block.kind in ("sh", "python") and not block.marked("not run")]
    assert is_run == bool(runnable), "a block without a language, or one that is not where has_something_to_run looks"
    for block in blocks:
        for reason in block.marked("not run"):
            assert reason in REASONS, f"{block.where}: {reason}: none of {REASONS}"
            assert len(block.marks) == 1, block.where
        if block.kind not in ("sh", "python"):
            assert {name for name, _ in block.marks} <= {"compared"}, block.where
        if block.kind == "python":
            has_await = "await " in block.text and "async def" not in block.text
            assert not has_await or block.marked("given"), f"{block.where}: await outside of a function, nothing given"


def test_reference_pages_do_what_they_say(reference_page: str, run_page: Any) -> None:
    """
    One block after the other, as somebody who reads the page would.
    """
    run_page(reference_page)
