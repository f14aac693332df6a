"""
How does a test run Dante, a SOCKS5 proxy that relays UDP, without touching the machine?
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PROGRAM = shutil.which("danted", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

_CONFIGURATION = """
logoutput: {folder}/log
internal: {host} port = {port}
{externals}
clientmethod: none
socksmethod: {method}
client pass {{ from: 0/0 to: 0/0 }}
socks pass {{ from: 0/0 to: 0/0 command: {command} }}
socks pass {{ from: 0/0 to: 0/0 command: udpreply }}
"""

_LONGEST_START = 30.0


class Dante:
    """
    A running proxy.

    @ivar keys: what stands in an endpoint string for it.
    """

    def __init__(self, host: str, port: int, process: subprocess.Popen[bytes]) -> None:
        self.keys = f"socks={host}:socksPort={port}".replace("::", r"\:\:")
        self._process = process

    def kill(self) -> None:
        """
        All its processes, at once.
        """
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port() -> int:
    """
    A TCP port that nobody had a moment ago.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def dante(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    externals: Sequence[str] = ("lo",),
    command: str = "udpassociate",
    users: Mapping[str, str] | None = None,
    hosts: str = "",
    enter: Sequence[str] = (),
) -> Iterator[Dante]:
    """
    Run one.

    @param folder: for its files.
    @param externals: the interfaces by which it goes on.
    @param command: what it does for clients.
    @param users: passwords by user, of whom one has to log in.
    @param hosts: what it finds in C{/etc/hosts}.
    @param enter: what runs it elsewhere, see C{Namespace.enter}.
    """
    assert PROGRAM is not None
    port = free_port()
    lines = "\n".join(f"external: {one}" for one in externals)
    method = "username" if users is not None else "none"
    text = _CONFIGURATION.format(folder=folder, host=host, port=port, externals=lines, method=method, command=command)
    (folder / "danted.conf").write_text(text)
    own = {"/etc/hosts": hosts} if hosts else {}
    if users is not None:
        own |= _accounts(users)
    argv = [*enter, *_with_files(folder, own), PROGRAM, "-f", "danted.conf", "-p", "pid", "-N", "1"]
    process = subprocess.Popen(argv, cwd=folder, start_new_session=True)
    running = Dante(host, port, process)
    try:
        _wait_until_it_runs(folder / "log", process)
        yield running
    finally:
        running.kill()


def _accounts(users: Mapping[str, str]) -> dict[str, str]:
    """
    C{/etc/passwd} and C{/etc/shadow} with these as well.
    """
    passwd, shadow = Path("/etc/passwd").read_text(), Path("/etc/shadow").read_text()
    for number, (user, password) in enumerate(users.items(), 2000):
        argv = ["openssl", "passwd", "-6", "-stdin"]
        hashed = subprocess.run(argv, input=password, capture_output=True, text=True, check=True).stdout.strip()
        passwd += f"{user}:x:{number}:65534::/:/bin/false\n"
        shadow += f"{user}:{hashed}:20000:0:99999:7:::\n"
    return {"/etc/passwd": passwd, "/etc/shadow": shadow}


def _with_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """
    What runs a program that sees other files there than everyone else.
    """
    if not files:
        return []
    mounts = []
    for index, (path, text) in enumerate(files.items()):
        (folder / f"file{index}").write_text(text)
        mounts.append(f"mount --bind file{index} {path}")
    return ["unshare", "--mount", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh"]


def _wait_until_it_runs(log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _LONGEST_START
    while not log.exists() or " running" not in log.read_text():
        said = log.read_text() if log.exists() else "nothing"
        assert process.poll() is None and time.monotonic() < deadline, f"danted does not run; it said: {said}"
        time.sleep(0.01)
