"""
How does one machine become three: a sender, a router and a receiver, each with a network stack of its own?

Network namespaces without names.  Each belongs to a process that does nothing but read a pipe from us: when we end,
however we do, the pipe does, the process does, and the kernel takes the namespace apart with all that is in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from types import TracebackType

from benchmarks.child import Child

# All of them take milliseconds.
_LONGEST_COMMAND = 20.0
_POLL = 0.005

COMMANDS = {"ip": "iproute2", "tc": "iproute2", "unshare": "util-linux", "nsenter": "util-linux"}
"""The programs that are needed, and Debian's packages that have them."""


class NotPossible(Exception):
    """
    This machine does not let us; says why.
    """


def why_missing(commands: Mapping[str, str]) -> str | None:
    """
    The first of these programs that is not installed, and how to install it.

    @param commands: Debian's packages by the programs in them.
    """
    missing = next((command for command in commands if shutil.which(command) is None), None)
    return None if missing is None else f"{missing} is not installed: apt-get install {commands[missing]}"


def why_not() -> str | None:
    """
    Why there can be no namespaces here; L{None} when there can.
    """
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    reason = why_missing(COMMANDS)
    if reason is not None:
        return reason
    try:
        # Whatever may not be permitted, or not be in this kernel: devices, forwarding, tbf.
        with Namespace("probe") as probe:
            probe.ip("link", "add", "probe", "type", "veth", "peer", "name", "other")
            probe.write("net/ipv4/ip_forward", "1")
            probe.run(
                "tc", "qdisc", "add", "dev", "probe", "root", "tbf", "rate", "1mbit", "burst", "4kb", "limit", "9kb"
            )
    except NotPossible as error:
        return str(error)
    return None


class Namespace:
    """
    A network stack.  Use as a context manager.

    @ivar name: what messages call it.
    @ivar pid: the process that holds it, for C{ip link ... netns}.
    @ivar enter: what runs a command in it, when it stands before the command.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._holder = subprocess.Popen(
            ["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self.pid = self._holder.pid
        self.enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net"]

    def __enter__(self) -> Namespace:
        try:
            self._wait_for_unsharing()
            self.ip("link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """
        The namespace ends with the last process in it.
        """
        self._holder.kill()
        self._holder.communicate()

    def _wait_for_unsharing(self) -> None:
        ours = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + _LONGEST_COMMAND
        while True:
            if self._holder.poll() is not None:
                assert self._holder.stderr is not None
                raise NotPossible(f"no namespace: {self._holder.stderr.read().decode().strip()}")
            try:
                if os.readlink(f"/proc/{self.pid}/ns/net") != ours:
                    return
            except OSError as error:  # between its end and our noticing it
                raise NotPossible(f"no namespace: {error.strerror}") from None
            if time.monotonic() > deadline:
                raise NotPossible("no namespace: unshare does not answer")
            time.sleep(_POLL)

    def run(self, *argv: object) -> str:
        """
        Run a command in it.

        @return: what it printed.
        @raise NotPossible: it failed.
        """
        words = [str(word) for word in argv]
        ran = subprocess.run([*self.enter, *words], capture_output=True, text=True, timeout=_LONGEST_COMMAND)
        if ran.returncode:
            raise NotPossible(f"{self.name}: {' '.join(words)}: {ran.stderr.strip()}")
        return ran.stdout

    def ip(self, *argv: object) -> str:
        """
        Run C{ip} in it.
        """
        return self.run("ip", *argv)

    def write(self, setting: str, value: str) -> None:
        """
        Set a kernel parameter below C{/proc/sys}; C{sysctl} may not be installed.
        """
        self.run("sh", "-c", f"echo {value} > /proc/sys/{setting}")

    def start(self, module: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Child:
        """
        Start one of our programs in it.
        """
        argv = [*self.enter, sys.executable, "-m", module, *map(str, arguments)]
        return Child(argv, environment)
