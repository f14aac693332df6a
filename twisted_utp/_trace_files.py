"""
The files that traces may be written to, and how many there may be.

They are files of our own, that nobody else may read: a new one for each trace, never through a link, and never one that
somebody has put in its place since, not even where others may write to the directory.  As many as the limits allow,
those that lie in the directory already included: a server that is traced must not fill its disk.
"""

from __future__ import annotations

import os
import time
from errno import EISDIR, ELOOP, EMLINK, ENOENT, ENXIO
from itertools import count
from stat import S_ISLNK
from typing import IO
from weakref import WeakValueDictionary

from twisted.logger import Logger

SUFFIX = ".sqlog"

FILES_VARIABLE = "TWISTED_UTP_TRACE_FILES"
"""Environment variable: as many traces as a directory may have."""

BYTES_VARIABLE = "TWISTED_UTP_TRACE_BYTES"
"""Environment variable: bytes that they may have together."""

# A day of a busy server, or so; what a partition can spare.  More is what the variables are for.
DEFAULT_MAX_FILES = 10_000
DEFAULT_MAX_BYTES = 1 << 30

# Seconds between two looks at a directory that is full.
_LOOK_INTERVAL = 60

# Windows has neither links that anybody may make, nor these.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a pipe in its place would hold us up

_MODE, _DIRECTORY_MODE = 0o600, 0o700

# What opening says when the file has been removed, or there is a link (FreeBSD's EMLINK), a directory, or a pipe or a
# socket (ENXIO) in its place.
_GONE = frozenset((ENOENT, ELOOP, EMLINK, EISDIR, ENXIO))

# Device, inode, owner, links and size: an inode's number alone may be another file's by now.
Identity = tuple[int, int, int, int, int]

_log = Logger()


class TraceReplaced(Exception):
    """
    A trace has been removed, or something else put in its place.
    """


class TraceLimitReached(Exception):
    """
    No more may be written; the log says so already.
    """


class TraceFile:
    """
    A file that only we write.
    """

    def __init__(self, directory: TraceDirectory, stem: str) -> None:
        """
        @param stem: its name, to which a number is added when that is taken.
        @raise TraceLimitReached: when there are enough.
        @raise OSError: when it cannot be.
        """
        directory.admit()
        self._directory = directory
        self.path, self._identity = _create(os.path.join(directory.path, stem))

    def append(self, text: str) -> None:
        """
        Write at the end.  The file is not kept open.

        @param text: ASCII.
        @raise TraceLimitReached: when it would be too much.
        @raise TraceReplaced: when the file is not the one that was made.
        @raise OSError: when it cannot be written.
        """
        self._directory.take(len(text))
        try:
            with open(self.path, "a", encoding="ascii", newline="\n", opener=_open_again) as file:
                if _identity_of(file) != self._identity:
                    raise TraceReplaced(self.path)
                file.write(text)
                file.flush()
                self._identity = _identity_of(file)
        except OSError as error:
            if error.errno in _GONE:
                raise TraceReplaced(self.path) from None
            raise


class TraceDirectory:
    """
    A directory for traces, and how many it may have.

    @ivar path: where it is, absolute.
    """

    def __init__(self, path: str, max_files: int, max_bytes: int) -> None:
        self.path = path
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._files = self._nbytes = 0
        self._looked_at: float | None = None
        self._identity: tuple[int, int] | None = None
        self._is_told = False

    def admit(self) -> None:
        """
        There is to be one more.

        @raise TraceLimitReached: when there are enough.
        @raise OSError: when the directory cannot be.
        """
        self._find()
        if self._looked_at is None:
            self._look()
        if self._is_full() and time.monotonic() - (self._looked_at or 0.0) >= _LOOK_INTERVAL:
            self._look()  # somebody may have made room
        if self._is_full():
            self._refuse()
        self._is_told = False
        self._files += 1

    def take(self, nbytes: int) -> None:
        """
        So much is to be written.

        @raise TraceLimitReached: when it would be too much.
        """
        if self._nbytes + nbytes > self._max_bytes:
            self._nbytes = self._max_bytes
            self._refuse()
        self._nbytes += nbytes

    def _find(self) -> None:
        """
        Is the directory the one that it was?  A link to it is as good, if it is ours or root's.
        """
        if self._identity is None:
            os.makedirs(self.path, mode=_DIRECTORY_MODE, exist_ok=True)
        link = os.lstat(self.path)
        is_strange = S_ISLNK(link.st_mode) and link.st_uid not in (0, _own_user(link.st_uid))
        found = os.stat(self.path)
        identity = found.st_dev, found.st_ino
        if is_strange or self._identity not in (None, identity):
            raise OSError(ELOOP, "another directory has taken its place")
        self._identity = identity

    def _is_full(self) -> bool:
        return self._files >= self._max_files or self._nbytes >= self._max_bytes

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        with os.scandir(self.path) as entries:
            sizes = [entry.stat(follow_symlinks=False).st_size for entry in entries if entry.name.endswith(SUFFIX)]
        self._files, self._nbytes = len(sizes), sum(sizes)

    def _refuse(self) -> None:
        if not self._is_told:
            self._is_told = True
            _log.warn(
                "uTP: stopped writing traces to {directory}: it has reached {files} files or {nbytes} bytes;"
                " move some away, or set {variables}",
                directory=self.path,
                files=self._max_files,
                nbytes=self._max_bytes,
                variables=f"{FILES_VARIABLE} or {BYTES_VARIABLE}",
            )
        raise TraceLimitReached()


# Ports that trace into the same directory share its limits.
_directories: WeakValueDictionary[tuple[str, int, int], TraceDirectory] = WeakValueDictionary()


def trace_directory(path: str, max_files: int | None, max_bytes: int | None) -> TraceDirectory:
    """
    A directory with its limits: as given, or as the environment says, or the defaults.

    @param path: absolute.
    @raise ValueError: when a limit is no positive number, naming it.
    """
    files = _limit("max_files", max_files, FILES_VARIABLE, DEFAULT_MAX_FILES)
    nbytes = _limit("max_bytes", max_bytes, BYTES_VARIABLE, DEFAULT_MAX_BYTES)
    key = path, files, nbytes
    found = _directories.get(key)
    if found is None:
        found = _directories[key] = TraceDirectory(path, files, nbytes)
    return found


def _own_user(default: int) -> int:
    return os.geteuid() if hasattr(os, "geteuid") else default  # Windows has none


def _limit(name: str, given: int | None, variable: str, default: int) -> int:
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, int):
            raise TypeError(f"{name}={given!r}: expected an integer of 1 or more")
        if given < 1:
            raise ValueError(f"{name}={given!r}: expected an integer of 1 or more")
        return given
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or not int(text):
        raise ValueError(f"{variable}={text!r}: expected an integer of 1 or more")
    return int(text)


def _create(stem: str) -> tuple[str, Identity]:
    """
    Make a file whose name nobody has taken.

    @return: its path, and what it is known by.
    """
    for number in count(1):
        path = f"{stem}{SUFFIX}" if number == 1 else f"{stem}-{number}{SUFFIX}"
        try:
            with open(path, "x", opener=_open_new) as file:
                return path, _identity_of(file)
        except FileExistsError:
            continue
    raise AssertionError("unreachable")


def _open_new(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_LINK, _MODE)


def _open_again(path: str, flags: int) -> int:
    return os.open(path, flags & ~os.O_CREAT | _NO_LINK | _NO_WAIT)


def _identity_of(file: IO[str]) -> Identity:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_uid, found.st_nlink, found.st_size
