"""
Where do written bytes wait until they are cut into packets?
"""

from __future__ import annotations

from collections import deque


class SendBuffer:
    """
    A queue of the application's own C{bytes}: nothing is copied until a train takes its share.

    The queue itself is made by the first write and goes with the last byte, so an idle connection has none.
    """

    __slots__ = ("_chunks", "_offset", "nbytes")

    def __init__(self) -> None:
        self._chunks: deque[bytes] | None = None
        self._offset = 0  # consumed of the first chunk
        self.nbytes = 0

    def write(self, data: bytes) -> None:
        """
        Append.
        """
        if data:
            if self._chunks is None:
                self._chunks = deque()
            self._chunks.append(data)
            self.nbytes += len(data)

    def take(self, nbytes: int) -> bytes:
        """
        Remove and return the next C{nbytes} bytes, fewer when there are fewer.
        """
        chunks, offset = self._chunks, self._offset
        if chunks is None:
            return b""
        nbytes = min(nbytes, self.nbytes)
        self.nbytes -= nbytes
        parts: list[bytes] = []
        while nbytes:
            chunk = chunks[0]
            end = offset + nbytes
            if end < len(chunk):
                parts.append(chunk[offset:end])
                offset = end
                break
            parts.append(chunk[offset:] if offset else chunk)
            nbytes -= len(chunk) - offset
            offset = 0
            chunks.popleft()
        self._offset = offset
        if not chunks:
            self._chunks = None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take_all(self) -> bytes:
        """
        Remove and return everything.
        """
        if self._chunks is not None and len(self._chunks) == 1 and not self._offset:
            data = self._chunks[0]
            self._chunks = None
            self.nbytes = 0
            return data
        return self.take(self.nbytes)

    def clear(self) -> None:
        """
        Forget everything.
        """
        self._chunks = None
        self._offset = self.nbytes = 0
