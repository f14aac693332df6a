"""
Do Twisted's own programs work over C{utp:} when only a string is changed?

The programs run as subprocesses, as their users run them.  TLS around our endpoints is examples/tls_over_utp.py, which
tests/examples/ runs.
"""

from __future__ import annotations

import getpass
import hashlib
import socket
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SCRIPTS = Path(sys.executable).parent
LENGTH = 16 << 20
USER = getpass.getuser()


@pytest.fixture
def free_port() -> int:
    """
    A UDP port that nobody had a moment ago.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def folder(tmp_path) -> Path:
    """
    A folder to serve, with a file of 16 MB.
    """
    path = tmp_path / "served"
    path.mkdir()
    (path / "big.bin").write_bytes(hashlib.shake_256(b"served").digest(LENGTH))
    return path


def expect_download(start_python, checkout, port: int, original: Path, target: Path) -> None:
    """
    Fetch a file with examples/download.py, which is Twisted's Agent, and compare.
    """
    download = checkout / "examples" / "download.py"
    start_python(download, f"utp:127.0.0.1:{port}", f"/{original.name}", "-o", target).wait_for_exit(timeout=60)
    assert target.read_bytes() == original.read_bytes()


def test_twist_web(start, start_python, checkout, tmp_path, folder, free_port):
    """
    C{twist web --listen utp:PORT --path FOLDER} serves a folder, and Agent fetches 16 MB from it.
    """
    server = start(SCRIPTS / "twist", "web", "--listen", f"utp:{free_port}:interface=127.0.0.1", "--path", folder)
    server.wait_for_line("Starting factory")
    expect_download(start_python, checkout, free_port, folder / "big.bin", tmp_path / "fetched.bin")
    server.interrupt()
    server.wait_for_exit(code=None)


def test_twistd_web(start, start_python, checkout, tmp_path, folder, free_port):
    """
    The older C{twistd -n web} does the same, and stops cleanly.
    """
    listen = f"utp:{free_port}:interface=127.0.0.1"
    server = start(SCRIPTS / "twistd", "-n", "--pidfile=", "web", "--listen", listen, "--path", folder, cwd=tmp_path)
    server.wait_for_line("Starting factory")
    expect_download(start_python, checkout, free_port, folder / "big.bin", tmp_path / "fetched.bin")
    server.interrupt()
    server.wait_for_line("Server Shut Down")
    server.wait_for_exit(code=None)  # twistd ends itself with the same signal once it has shut down


def test_twist_web_on_a_used_port(start, folder):
    """
    C{twist} says of a port that is taken what it says over TCP, and ends: the address, and the system's reason.
    """
    said = {}
    for name, kind in (("tcp", socket.SOCK_STREAM), ("utp", socket.SOCK_DGRAM)):
        with socket.socket(socket.AF_INET, kind) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            listen = f"{name}:{port}:interface=127.0.0.1"
            server = start(SCRIPTS / "twist", "web", "--listen", listen, "--path", folder)
            server.wait_for_exit(code=1)
        said[name] = server.output[-1].replace(str(port), "PORT")
    assert said["utp"] == said["tcp"]
    assert "CannotListenError: Couldn't listen on 127.0.0.1:PORT: [Errno" in said["utp"]


def test_web_behind_a_proxy_header(start, start_python, folder, free_port):
    """
    C{haproxy:utp:PORT}: the PROXY header in the stream is taken off, and the rest is HTTP.
    """
    listen = f"haproxy:utp:{free_port}:interface=127.0.0.1"
    server = start(SCRIPTS / "twist", "web", "--listen", listen, "--path", folder)
    server.wait_for_line("Starting factory")
    request = r"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.0\r\n\r\n"
    client = start_python(HERE / "say.py", f"utp:127.0.0.1:{free_port}", request)
    client.wait_for_line("^HTTP/1.[01] 200")
    client.wait_for_exit()
    server.wait_for_line(r"192\.0\.2\.1.*GET / HTTP/1\.0.* 200 ")


@pytest.fixture
def host_keys(start, tmp_path) -> Path:
    """
    A folder with SSH host keys.
    """
    path = tmp_path / "keys"
    path.mkdir()
    key = path / "ssh_host_ed25519_key"
    start(SCRIPTS / "ckeygen", "-t", "ed25519", "-f", key, "--no-passphrase", "-q").wait_for_exit()
    return path


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Conch's server needs POSIX users")
def test_conch_ssh(start, start_python, host_keys, free_port):
    """
    Conch's SSH server and client: log in over uTP, run a real command, get its output and its exit status.
    """
    passwords = host_keys / "passwords"
    passwords.write_text(f"{USER}:secret\n")
    server = start(
        SCRIPTS / "twist", "conch", "--port", f"utp:{free_port}:interface=127.0.0.1", "--data", host_keys,
        "--auth", f"file:{passwords}",
        # Run by root, Conch's forked child would log a warning into the command's own output.
        env={"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    server.wait_for_line("Starting factory")
    command = "seq 1 200000; uname -s; exit 7"
    client = start_python(HERE / "ssh_command.py", f"utp:127.0.0.1:{free_port}", USER, "secret", command)
    client.wait_for_exit(code=7, timeout=60)
    assert [line for line in client.output if line.isdigit()] == [str(number) for number in range(1, 200_001)]
    assert "Linux" in client.output or sys.platform != "linux"


@pytest.mark.parametrize("program", ["amp", "perspective_broker", "lines"])
def test_remote_calls(start_python, program):
    """
    AMP, Perspective Broker and a line protocol: the same small server and client on a tcp: and on a utp: string.
    """
    for transport in ("tcp", "utp"):
        server = start_python(HERE / "remote_calls.py", program, "serve", f"{transport}:0:interface=127.0.0.1")
        port = server.wait_for_line(r"port=(\d+)")[1]
        client = start_python(HERE / "remote_calls.py", program, "call", f"{transport}:127.0.0.1:{port}")
        client.wait_for_line("^sum of 1000 numbers: 499500$")
        client.wait_for_exit()
