"""
Do written bytes come out in order, whole and uncopied where that is possible?
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twisted_utp.proto.send_buffer import SendBuffer


@given(st.lists(st.one_of(st.binary(max_size=12), st.integers(0, 30))))
def test_is_a_queue_of_bytes(steps: list[bytes | int]) -> None:
    """However writes and takes interleave, the bytes come out as from one long string."""
    buffer, model = SendBuffer(), b""
    for step in steps:
        if isinstance(step, bytes):
            buffer.write(step)
            model += step
        else:
            assert buffer.take(step) == model[:step]
            model = model[step:]
        assert buffer.nbytes == len(model)


def test_a_whole_write_is_not_copied() -> None:
    """A chunk that is taken whole is the application's own object."""
    buffer, data = SendBuffer(), b"x" * 1000
    buffer.write(data)
    assert buffer.take(1000) is data


def test_clear_forgets_everything() -> None:
    """After clearing, what is written next comes out first."""
    buffer = SendBuffer()
    buffer.write(b"abcdef")
    buffer.take(2)
    buffer.clear()
    assert buffer.nbytes == 0
    buffer.write(b"new")
    assert buffer.take(10) == b"new"
