"""
Do the systemd units start what they should, with the socket that systemd passes?
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

VERIFY = shutil.which("systemd-analyze")
UNITS = ("utp-echo.socket", "utp-echo.service", "utp-forward.service")

# What systemd does between fork and exec: the socket is descriptor 3, and the environment says for whom.
AS_SYSTEMD = """
import os, sys
if int(sys.argv[1]) != 3:
    os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.fixture
def units(examples: Path, tmp_path: Path) -> Path:
    """The units, with this machine's Python and examples in place of those in /opt."""
    for name in UNITS:
        text = (examples / "systemd" / name).read_text("utf-8")
        text = text.replace("/opt/utp/examples", str(examples)).replace(
            "/opt/utp/bin", str(Path(sys.executable).parent)
        )
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def setting(path: Path, section: str, key: str) -> str:
    """One setting of a unit."""
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read(path, "utf-8")
    return parser[section][key]


def test_echo_socket(units: Path, start: Any, start_python: Any, examples: Path) -> None:
    """The service's command echoes on the socket that it is given, under the name that the socket unit gives it."""
    command = shlex.split(setting(units / "utp-echo.service", "Service", "ExecStart"))
    name = setting(units / "utp-echo.socket", "Socket", "FileDescriptorName")
    assert setting(units / "utp-echo.socket", "Socket", "ListenDatagram").isdigit()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        ours = bound.fileno()
        server = start_python("-c", AS_SYSTEMD, str(ours), name, *command, pass_fds=(ours,))
        server.wait_for_line(f"echoing on .*port={port}")
    client = start_python(examples / "echo_client.py", f"utp:127.0.0.1:{port}", "hello systemd")
    client.wait_for_exit()
    assert client.output == ["hello systemd"]


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_hardened(units: Path, name: str) -> None:
    """systemd, where there is one that can tell, finds that it is exposed at 4 of 10 or less; else it has no rights."""
    assert setting(units / name, "Service", "CapabilityBoundingSet") == ""
    if VERIFY is not None:
        told = subprocess.run(
            [VERIFY, "security", "--offline=yes", "--threshold=40", "--no-pager", units / name],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        if "unrecognized option" not in told.stderr:  # systemd before 250
            assert told.returncode == 0, told.stdout + told.stderr


def test_forward_is_ready(units: Path, start: Any, free_port: int, tmp_path: Path) -> None:
    """The unit is of a type that waits until the forwarder listens, and is told so."""
    assert setting(units / "utp-forward.service", "Service", "Type") == "notify"
    command = shlex.split(setting(units / "utp-forward.service", "Service", "ExecStart"))
    command[command.index("utp:9000")] = f"utp:{free_port}:interface=127.0.0.1"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        program = start(*command, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert systemd.recv(100) == b"READY=1"
        program.interrupt()
        assert systemd.recv(100) == b"STOPPING=1"


def test_forward(units: Path, start: Any, free_port: int) -> None:
    """The forwarder's command starts it, with a log that people can read in the journal."""
    command = shlex.split(setting(units / "utp-forward.service", "Service", "ExecStart"))
    assert "utp:9000" in command
    command[command.index("utp:9000")] = f"utp:{free_port}:interface=127.0.0.1"
    program = start(*command)
    program.wait_for_line(f"listening on 127.0.0.1:{free_port}, .* and connecting to tcp:127.0.0.1:22$")


@pytest.mark.parametrize("name", UNITS)
def test_understood(units: Path, name: str) -> None:
    """systemd, where there is one, understands every line; elsewhere each line is at least a setting in a section."""
    for line in (units / name).read_text("utf-8").splitlines():
        assert re.fullmatch(r"|#.*|\[(Unit|Service|Socket|Install)\]|[A-Z]\w+=(\S.*)?", line), line
    if VERIFY is not None:
        environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"}
        verified = subprocess.run(
            [VERIFY, "verify", units / name], capture_output=True, text=True, env=environment, timeout=30
        )
        ours = [line for line in verified.stderr.splitlines() if "utp-" in line]
        assert (ours, verified.returncode) == ([], 0), verified.stderr
