"""
Shows a renewed certificate without a restart.

Whoever connects after the renewal gets the new one: the files are looked at again when somebody connects,
and loaded again when they have changed.  Twisted's C{tls:} does so when it is asked for a name that it does not know;
a renewed certificate has the same name, so the time and size of the files decide here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from twisted_utp._tls_credentials import server_options

# Seconds between two looks at the files: a flood of connections costs no more than that.
LOOK_INTERVAL = 1.0

_FILE_KEYS = ("privateKey", "certificate", "certKey", "extraCertChain", "dhParameters")

# A file's name, inode, size and time of change.
FileIdentity = tuple[str, int, int, int]
Connect = Callable[[Any], SSL.Connection]


def server_credentials(reactor: Any, given: Mapping[str, str]) -> ReloadingCredentials:
    """
    What a server shows: the certificate in a file, or, with C{path}, those in a directory, chosen by the name that
    the client asks for.

    @param given: the keys of the string.
    @raise ValueError: when they contradict each other, or a file cannot be used.
    """
    microseconds = getattr(reactor, "microseconds", None)  # a reactor in virtual time has it

    def clock() -> float:
        return time.monotonic() if microseconds is None else microseconds() / 1_000_000

    if "path" not in given:
        if "privateKey" not in given:
            raise ValueError("utps: privateKey is missing; or give path, a directory with keys and certificates")
        files = [Path(given[key]) for key in _FILE_KEYS if key in given]
        return ReloadingCredentials(lambda: _from_files(given), lambda: files, clock)
    for key in given:
        if key != "path":
            raise ValueError(f"{key}={given[key]!r}: expected either path, or the other certificate keys")
    directory = Path(given["path"])
    return ReloadingCredentials(lambda: _from_directory(reactor, directory), lambda: _pem_files(directory), clock)


@implementer(IOpenSSLServerConnectionCreator)
class ReloadingCredentials:
    """
    Server-side TLS connections with what the files say now.
    """

    _log = Logger()

    def __init__(
        self,
        load: Callable[[], Connect],
        files: Callable[[], Sequence[Path]],
        clock: Callable[[], float],
    ) -> None:
        """
        @param load: reads the files, and gives what makes connections.
        @param files: the files that there are.
        @param clock: seconds.
        @raise ValueError: when they cannot be used.
        """
        self._load = load
        self._files = files
        self._clock = clock
        self._looked_at = clock()
        self._identities = self._file_identities()
        self._connect = load()

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """
        See L{IOpenSSLServerConnectionCreator.serverConnectionForTLS}.
        """
        self._look()
        return self._connect(protocol)

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked_at < LOOK_INTERVAL:
            return
        self._looked_at = now
        identities = self._file_identities()
        if identities == self._identities:
            return
        self._identities = identities
        try:
            self._connect = self._load()
        except ValueError as error:
            # Perhaps only one of two files is new yet.  When the other follows we look again.
            self._log.warn("the certificate was not renewed: {error}", error=error)
        else:
            self._log.info("reloaded certificates: {files} changed", files=", ".join(m[0] for m in identities))

    def _file_identities(self) -> list[FileIdentity]:
        identities = []
        for path in self._files():
            try:
                found = path.stat()
            except OSError:
                continue  # gone; loading says why that is wrong
            identities.append((str(path), found.st_ino, found.st_size, found.st_mtime_ns))
        return identities


def _from_files(given: Mapping[str, str]) -> Connect:
    options = server_options(given)
    return lambda protocol: SSL.Connection(options.getContext(), None)


def _from_directory(reactor: Any, directory: Path) -> Connect:
    """
    What Twisted's C{tls:DIRECTORY} makes of it: the certificate for the name that the client asks for.
    """
    if not _pem_files(directory):
        raise ValueError(f"path={str(directory)!r}: expected a directory with *.pem files that can be read")
    try:
        endpoint: Any = serverFromString(reactor, f"tls:{quoteStringArgument(str(directory))}:0")
    except ValueError as error:
        if "Unknown endpoint type" in str(error):
            raise ValueError(f"path={str(directory)!r}: this Twisted has no tls: servers; give privateKey") from None
        raise ValueError(f"path={str(directory)!r}: {error}; expected PEM files of keys and certificates") from None
    except (SSL.Error, crypto.Error, OSError):
        raise ValueError(f"path={str(directory)!r}: expected PEM files of keys and certificates") from None
    connect: Connect = endpoint.connectionCreator.serverConnectionForTLS
    return connect


def _pem_files(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.pem"))
