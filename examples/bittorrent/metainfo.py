"""
What does a .torrent file say?  (BEP 3, single-file torrents; bencoding included.)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Bencodable: TypeAlias = "int | bytes | list[Bencodable] | dict[bytes, Bencodable]"

HASH_LENGTH = 20


def bencode(value: Bencodable) -> bytes:
    """
    Encode a value; dictionaries come out sorted, so that equal values have equal hashes.
    """
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


def bdecode(data: bytes) -> Bencodable:
    """
    Decode one value that fills the data.

    @raise ValueError: when it is not bencoded.
    """
    value, end = _decode_at(data, 0)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes too many")
    return value


def _decode_at(data: bytes, at: int) -> tuple[Bencodable, int]:
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind == b"l":
        return _decode_items(data, at + 1)
    if kind == b"d":
        items, end = _decode_items(data, at + 1)
        keys, values = items[::2], items[1::2]
        if len(keys) != len(values) or not all(isinstance(key, bytes) for key in keys):
            raise ValueError("a dictionary key is not a string, or has no value")
        return dict(zip(keys, values, strict=True)), end  # type: ignore[arg-type]  # just checked
    colon = data.index(b":", at)
    start = colon + 1
    end = start + int(data[at:colon])
    if end > len(data):
        raise ValueError("a string ends early")
    return data[start:end], end


def _decode_items(data: bytes, at: int) -> tuple[list[Bencodable], int]:
    items: list[Bencodable] = []
    while data[at : at + 1] != b"e":
        item, at = _decode_at(data, at)
        items.append(item)
    return items, at + 1


@dataclass(frozen=True)
class Metainfo:
    """
    One file, its pieces and their hashes.
    """

    name: str
    length: int
    piece_length: int
    hashes: tuple[bytes, ...]

    @classmethod
    def of_file(cls, path: Path, piece_length: int = 256 * 1024) -> Metainfo:
        """
        Describe a file on disk.
        """
        with path.open("rb") as file:
            pieces = iter(lambda: file.read(piece_length), b"")
            hashes = tuple(hashlib.sha1(piece).digest() for piece in pieces)
        return cls(path.name, path.stat().st_size, piece_length, hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> Metainfo:
        """
        Read what L{to_bytes} or any other program wrote.

        @raise ValueError: when it is no single-file torrent, or one that we would not describe with the same info
            dictionary, and so with another info hash.
        """
        decoded = bdecode(data)
        info = decoded.get(b"info") if isinstance(decoded, dict) else None
        if not isinstance(info, dict):
            raise ValueError("no info dictionary")
        name, length = info.get(b"name"), info.get(b"length")
        piece_length, pieces = info.get(b"piece length"), info.get(b"pieces")
        if not isinstance(name, bytes) or not isinstance(length, int):
            raise ValueError("not the torrent of a single file")
        if not isinstance(piece_length, int) or not isinstance(pieces, bytes):
            raise ValueError("it has no pieces")
        hashes = tuple(pieces[i : i + HASH_LENGTH] for i in range(0, len(pieces), HASH_LENGTH))
        metainfo = cls(name.decode(), length, piece_length, hashes)
        if metainfo.info() != info:
            raise ValueError("its info dictionary has keys that this example does not know")
        return metainfo

    def info(self) -> dict[bytes, Bencodable]:
        """
        The info dictionary.
        """
        return {
            b"length": self.length,
            b"name": self.name.encode(),
            b"piece length": self.piece_length,
            b"pieces": b"".join(self.hashes),
        }

    def to_bytes(self) -> bytes:
        """
        The .torrent file.
        """
        return bencode({b"info": self.info()})

    @property
    def info_hash(self) -> bytes:
        """
        What names the torrent on the wire.
        """
        return hashlib.sha1(bencode(self.info())).digest()

    def piece_size(self, index: int) -> int:
        """
        The length of a piece; the last one may be shorter.
        """
        return min(self.piece_length, self.length - index * self.piece_length)
