"""
Holds written bytes until they are cut into packets.
"""

from __future__ import annotations

from collections import deque


class SendBuffer:
    """
    The application's own C{bytes} in a row: nothing is copied until a train takes its share.

    Mostly there is one piece, or none, so the queue of the others is made when it is needed, and goes when it is empty.
    """

    __slots__ = ("_first", "_offset", "_others", "nbytes")

    def __init__(self) -> None:
        self._first = b""
        self._offset = 0  # consumed of it
        self._others: deque[bytes] | None = None
        self.nbytes = 0

    def write(self, data: bytes) -> None:
        """
        Append.
        """
        if not self.nbytes:
            self._first = data
        elif data:
            if self._others is None:
                self._others = deque()
            self._others.append(data)
        self.nbytes += len(data)

    def take(self, nbytes: int) -> bytes:
        """
        Remove and return the next C{nbytes} bytes, fewer when there are fewer.
        """
        nbytes = min(nbytes, self.nbytes)
        self.nbytes -= nbytes
        chunk, offset, others = self._first, self._offset, self._others
        parts: list[bytes] = []
        while offset + nbytes >= len(chunk):
            parts.append(chunk[offset:] if offset else chunk)
            nbytes -= len(chunk) - offset
            offset = 0
            if not others:
                chunk, self._others = b"", None
                break
            chunk = others.popleft()
        if nbytes:
            parts.append(chunk[offset : offset + nbytes])
        self._first, self._offset = chunk, offset + nbytes
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take_all(self) -> bytes:
        """
        Remove and return everything.
        """
        if self._others is None and not self._offset:
            data, self._first = self._first, b""
            self.nbytes = 0
            return data
        return self.take(self.nbytes)

    def clear(self) -> None:
        """
        Forget everything.
        """
        self._first, self._others = b"", None
        self._offset = self.nbytes = 0
