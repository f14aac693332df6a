"""
The meaning of ucat's exit codes.
"""

from __future__ import annotations

from enum import IntEnum
from signal import Signals

from twisted_utp._causes import Kind


class Exit(IntEnum):
    """
    The exit codes; from 128 on they are 128 and the number of a signal, as in shells.
    """

    DONE = 0
    """Everything was sent and received, and both sides ended the connection."""

    BUG = 1
    """Something unexpected; the traceback belongs into a bug report."""

    USAGE = 2
    """An option or an endpoint string that cannot be used."""

    NAME = 3
    """The host's name was not found."""

    REFUSED = 4
    """Nobody listens there."""

    TIMED_OUT = 5
    """No answer, or none any more."""

    RESET = 6
    """The peer broke the connection off, or closed it before everything was sent."""

    TLS = 7
    """The certificate is not trusted, or TLS failed otherwise."""

    LISTEN = 8
    """Our own address or port cannot be used."""

    UNREACHABLE = 9
    """There is no way to the host."""

    LOCAL = 10
    """Standard input cannot be read or standard output cannot be written: a full disk, for example."""

    COMMAND = 11
    """The command of --exec failed, or cannot be run."""

    PROXY = 12
    """The SOCKS5 proxy cannot be reached, refuses us, or has ended."""

    BROKEN_PIPE = 141
    """Whoever read our standard output has gone: 128 and SIGPIPE, as for other programs in a pipeline."""


_BY_KIND = {
    Kind.NAME: Exit.NAME,
    Kind.REFUSED: Exit.REFUSED,
    Kind.TIMED_OUT: Exit.TIMED_OUT,
    Kind.RESET: Exit.RESET,
    Kind.TLS: Exit.TLS,
    Kind.LISTEN: Exit.LISTEN,
    Kind.UNREACHABLE: Exit.UNREACHABLE,
    Kind.ABORTED: Exit.RESET,
    Kind.PROXY: Exit.PROXY,
}


def exit_for(kind: Kind) -> int:
    """
    The code for a cause.
    """
    return _BY_KIND.get(kind, Exit.BUG)


def exit_for_signal(number: int) -> int:
    """
    The code for a signal that ended us.
    """
    return 128 + number


def exit_name(code: int) -> str:
    """
    What C{--stats json} calls it.
    """
    if code in list(Exit):
        return Exit(code).name.lower()
    return Signals(code - 128).name.lower()
