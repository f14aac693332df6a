"""
What do rsync, restic and scp take, and what does a call notice of them: by TCP with CUBIC or BBR, and through
C{twist utp-forward}?

C{lab.py --only programs --delay 25} runs each program with each carrier, one after the other.  The SSH server is at the
far end, with keys and configuration of its own in a temporary directory; what is sent is random, so that neither
compression nor deduplication makes it less.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

from benchmarks.bottleneck.claims import Claim
from benchmarks.bottleneck.forwarding import NEAR, forward
from benchmarks.bottleneck.namespaces import NotPossible, why_missing
from benchmarks.bottleneck.neighbours import Stage, waits_of
from benchmarks.bottleneck.path import RECEIVER, ROUTER, SENDER, Path
from benchmarks.bottleneck.sharing import Setting
from benchmarks.bottleneck.tcp_flow import available
from benchmarks.child import MeasurementFailed

FILES, FILE = 4, 5_000_000
"""What is sent: so many files of so many bytes; scp gets them all in one call."""

COMMANDS = {"sshd": "openssh-server", "ssh": "openssh-client", "scp": "openssh-client", "rsync": "rsync"}
COMMANDS["restic"] = "restic"
"""The programs that are needed, and Debian's packages that have them."""

CARRIERS = ("cubic", "bbr", "ledbat++", "scavenger")
"""The first two are TCP straight across the bottleneck, the others uTP between two forwarders."""

_TCP = ("cubic", "bbr")
_SSH = 2200
_IDLE = 2.0  # seconds in which the call is alone
_STARTED = 2.0  # seconds after which a program is in full swing
_LONGEST = 120.0

_CONFIGURATION = """\
Port {port}
ListenAddress {host}
HostKey {home}/host_key
AuthorizedKeysFile {home}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Run:
    """
    What was seen of a program.

    @ivar seconds: it took.
    @ivar p50: ms that the call's packets waited in the meantime, the median; C{p95} what 95 % waited at the most.
    """

    program: str
    carrier: str
    seconds: float
    p50: float
    p95: float


def run(setting: Setting) -> list[Run]:
    """
    All programs with all carriers that this kernel has.

    @raise NotPossible: this machine does not let us.
    @raise MeasurementFailed: a program failed.
    """
    reason = why_missing(COMMANDS)
    if reason is not None:
        raise NotPossible(reason)
    carriers = [carrier for carrier in CARRIERS if carrier not in _TCP or carrier in available()]
    with tempfile.TemporaryDirectory(prefix="lab-") as name:
        home = FilePath(name)
        _prepare(home)
        return [_measure(setting, home, program, carrier) for program in PROGRAMS for carrier in carriers]


def _prepare(home: FilePath) -> None:
    """
    Keys, a server's configuration, and what is to be sent.
    """
    for key in ("host_key", "key"):
        _call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / key)])
    (home / "sshd_config").write_text(_CONFIGURATION.format(port=_SSH, host=RECEIVER, home=home))
    (home / "files").mkdir()
    for number in range(FILES):
        (home / "files" / str(number)).write_bytes(os.urandom(FILE))
    (home / "password").write_text("not secret\n")
    # Where sshd's unprivileged part is shut in.
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)


def _rsync(home: FilePath, there: FilePath, host: str, ssh: list[str]) -> list[str]:
    return ["rsync", "-a", "-e", " ".join(ssh), f"{home}/files", f"{host}:{there}/"]


def _scp(home: FilePath, there: FilePath, host: str, ssh: list[str]) -> list[str]:
    # scp writes its port with a capital letter.
    options = ["-P" if word == "-p" else word for word in ssh[1:]]
    return ["scp", "-q", "-r", *options, f"{home}/files", f"{host}:{there}/"]


def _restic(home: FilePath, there: FilePath, host: str, ssh: list[str]) -> list[str]:
    repository = [f"--password-file={home}/password", "--no-cache", "-q"]
    _call(["restic", *repository, "-r", str(there / "repository"), "init"])
    sftp = f"sftp.command={' '.join(ssh)} {host} -s sftp"
    return ["restic", *repository, "-o", sftp, "-r", f"sftp:{host}:{there}/repository", "backup", f"{home}/files"]


PROGRAMS: dict[str, Callable[[FilePath, FilePath, str, list[str]], list[str]]] = {
    "scp": _scp,
    "rsync": _rsync,
    "restic": _restic,
}
"""What makes each one's command line of a home, a directory at the far end, a host and the words that start ssh."""


def _measure(setting: Setting, home: FilePath, program: str, carrier: str) -> Run:
    with contextlib.ExitStack() as running:
        path = running.enter_context(Path(setting.delay))
        path.squeeze(setting.rate, setting.buffer)
        stage = Stage(setting, path, running)
        running.enter_context(_server(path, home))
        host, port = _carry(stage, carrier)
        there = FilePath(running.enter_context(tempfile.TemporaryDirectory(prefix="there-", dir=home)))
        command = PROGRAMS[program](home, there, f"root@{host}", _ssh(home, port))
        ping = stage.ping()
        began = time.monotonic()
        time.sleep(_IDLE)
        started = time.monotonic()
        _call([*path.sender.enter, *command])
        ended = time.monotonic()
        p50, p95 = waits_of(ping, (began, started), (started + _STARTED, ended))
    return Run(program, carrier, ended - started, p50, p95)


@contextlib.contextmanager
def _server(path: Path, home: FilePath) -> Iterator[None]:
    sshd = shutil.which("sshd")
    assert sshd is not None, "run() has looked for it"
    server = subprocess.Popen(
        [*path.receiver.enter, sshd, "-D", "-e", "-f", str(home / "sshd_config")], stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def _carry(stage: Stage, carrier: str) -> tuple[str, int]:
    """
    @return: where the near side finds the SSH server.
    """
    if carrier in _TCP:
        # Of the route, as a namespace may not have every default.
        stage.path.sender.ip("route", "change", "default", "via", ROUTER, "congctl", carrier)
        return RECEIVER, _SSH
    forward(replace(stage.setting, congestion=carrier), stage.path, stage.running, _SSH)
    return SENDER, NEAR


def _ssh(home: FilePath, port: int) -> list[str]:
    options = {"StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null", "LogLevel": "ERROR"}
    words = [f"-o{name}={value}" for name, value in options.items()]
    return ["ssh", "-F", "none", "-i", f"{home}/key", "-p", str(port), *words]


def _call(words: list[str]) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_LONGEST, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise MeasurementFailed(f"{words[0]} took more than {_LONGEST:.0f} s") from None
    if done.returncode:
        raise MeasurementFailed(f"{' '.join(words)}: {done.stderr.strip()[-500:]}")


def judge(runs: list[Run]) -> list[Claim]:
    """
    The table's lines: told only.
    """
    return [
        Claim(
            f"{one.program}, {'TCP with ' if one.carrier in _TCP else 'forwarded, '}{one.carrier}",
            "",
            f"{one.seconds:.1f} s; a call waits {one.p50:.0f} ms, 95th percentile {one.p95:.0f} ms",
            None,
        )
        for one in runs
    ]
