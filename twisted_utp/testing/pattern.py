"""
Bytes by which both ends can tell that exactly what was written has come out.

A stream of seeded, aperiodic-looking bytes that both ends can make for themselves: comparing goes along with
receiving, and nothing has to be kept.
"""

from __future__ import annotations

from random import Random

# A prime, so that no packet size or buffer size divides it and a shifted stream cannot look right.
BLOCK = 65_521


class WrongBytes(AssertionError):
    """
    What came out is not what was written.
    """


class Pattern:
    """
    A position in the stream.

    @ivar position: bytes written, or checked, so far.
    """

    def __init__(self, seed: int = 0) -> None:
        self._block = Random(f"pattern {seed}").randbytes(BLOCK) * 2
        self.position = 0

    def read(self, nbytes: int) -> bytes:
        """
        The next bytes.
        """
        parts = []
        while nbytes:
            at = self.position % BLOCK
            part = self._block[at : at + min(nbytes, BLOCK)]
            parts.append(part)
            self.position += len(part)
            nbytes -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def check(self, data: bytes) -> None:
        """
        Compare with the next bytes.

        @raise WrongBytes: naming the first offset that differs.
        """
        start = self.position
        expected = self.read(len(data))
        if data != expected:
            at = next(index for index, pair in enumerate(zip(data, expected, strict=True)) if pair[0] != pair[1])
            raise WrongBytes(
                f"byte {start + at} of the stream: {data[at : at + 8].hex()} came out, "
                f"{expected[at : at + 8].hex()} was written"
            )
