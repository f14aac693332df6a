"""
What does ucat do, as its users run it?
"""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

UCAT = Path(sys.executable).parent / "ucat"
DATA = hashlib.shake_256(b"ucat").digest(5_000_003)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to send."""
    path = tmp_path / "original"
    path.write_bytes(DATA)
    return path


def test_file_to_file(ucat: Any, listening: Any, file: Path, tmp_path: Path) -> None:
    """A regular file arrives as one; both sides say what they did, and end with 0."""
    copy = tmp_path / "copy"
    with open(copy, "wb") as output, open(file, "rb") as source:
        receiver = listening(stdout=output)
        sender = ucat("127.0.0.1", receiver.port(), stdin=source)
        sender.end()
        receiver.end()
    assert copy.read_bytes() == DATA
    assert re.search(
        r"sent 5 MB, received 0 B in .* s \(.*B/s\); RTT .* ms, queue .* ms, \d+ resent$", sender.errors(), re.M
    )
    assert "sent 0 B, received 5 MB" in receiver.errors()


def test_both_directions(ucat: Any, listening: Any) -> None:
    """Pipes, both ways, at once; each direction ends by itself."""
    receiver = listening(stdin=DATA[::-1])
    port, taken = receiver.port(), []
    thread = threading.Thread(target=lambda: taken.append(receiver.end()))
    thread.start()
    assert ucat("127.0.0.1", port, stdin=DATA).end() == DATA[::-1]
    thread.join(30)
    assert taken == [DATA]


def test_half_close(ucat: Any, listening: Any) -> None:
    """The end of what we send reaches a command that waits for it, and its answer reaches us."""
    server = listening("-e", "sha256sum")
    answer = ucat("127.0.0.1", server.port(), stdin=DATA).end()
    assert answer.split()[0].decode() == hashlib.sha256(DATA).hexdigest()
    server.end()


def test_end_of_stream_is_passed_on(ucat: Any, listening: Any) -> None:
    """Whoever reads our output sees the peer's end of stream, though we go on sending."""
    server = listening(stdin=subprocess.PIPE)
    client = ucat("127.0.0.1", server.port(), stdin=b"question")
    thread = threading.Thread(target=client.end)
    thread.start()
    assert server.process.stdout.read() == b"question"
    assert server.process.poll() is None
    server.process.stdin.write(b"late")
    server.process.stdin.close()
    thread.join(30)
    assert server.process.wait(30) == 0


def test_keep_listening(ucat: Any, listening: Any) -> None:
    """-k serves one after the other; a signal ends it."""
    server = listening("-k")
    for text in (b"one ", b"two ", b"three"):
        ucat("127.0.0.1", server.port(), stdin=text).end()
    server.wait_for(r"(?s)(connection from.*){3}received 5 B")
    server.process.terminate()
    assert server.end(128 + signal.SIGTERM) == b"one two three"


def test_commands(ucat: Any, listening: Any) -> None:
    """-k -e serves everyone at once, and tells the command who it is."""
    server = listening("-k", "-e", "cat; echo $UCAT_PEER_HOST")
    first = ucat("127.0.0.1", server.port(), stdin=subprocess.PIPE)
    server.wait_for("connection from")
    assert ucat("127.0.0.1", server.port(), stdin=b"second ").end() == b"second 127.0.0.1\n"
    assert first.process.communicate(b"first ", 30)[0] == b"first 127.0.0.1\n"
    server.process.terminate()
    server.end(128 + signal.SIGTERM)


def test_command_that_fails(ucat: Any, listening: Any) -> None:
    """The server says so; the client has what the command said."""
    server = listening("-e", "echo sorry; exit 3")
    assert ucat("127.0.0.1", server.port()).end() == b"sorry\n"
    server.end(11)
    assert "the command ended with exit code 3" in server.errors()


def test_command_that_does_not_read(ucat: Any, listening: Any) -> None:
    """What it does not read is thrown away, and nobody hangs."""
    server = listening("-e", "exec <&-; echo done")
    assert ucat("127.0.0.1", server.port(), stdin=DATA).end() == b"done\n"
    server.end()


def test_endpoint_strings(ucat: Any, listening: Any) -> None:
    """Any endpoint string will do, tcp: for example, and settings can be options."""
    server = ucat("-v", "-l", "tcp:0:interface=127.0.0.1")
    ucat(f"tcp:127.0.0.1:{server.port()}", stdin=b"over TCP").end()
    assert server.end() == b"over TCP"
    server = listening("--no-pacing", "--congestion", "ledbat", "--mtu", "1000")
    sender = ucat(f"utp:127.0.0.1:{server.port()}:mtu=900", "--no-delay", "--target-delay", "0.02", stdin=b"over uTP")
    sender.end()
    assert server.end() == b"over uTP"


def test_module(ucat: Any) -> None:
    """python -m runs it as well."""
    program = (sys.executable, "-m", "twisted_utp.ucat")
    assert re.fullmatch(
        rb"ucat \d\S+ \(twisted-utp(, compiled)?; Twisted \S+, Python \S+\)\n", ucat("-V", program=program).end()
    )


def test_json(ucat: Any, listening: Any, tmp_path: Path) -> None:
    """--stats json is one line, for connections and for failures; --trace writes a trace."""
    server = listening()
    client = ucat("127.0.0.1", server.port(), "--stats", "json", "--trace", tmp_path / "traces", stdin=DATA)
    client.end()
    stats = json.loads(client.errors())
    assert (stats["role"], stats["result"], stats["exit_code"], stats["cause"]) == ("client", "done", 0, "")
    assert (stats["sent"], stats["received"], stats["transport"]["bytes_acked"]) == (len(DATA), 0, len(DATA))
    assert [path.suffix for path in (tmp_path / "traces").iterdir()] == [".sqlog"]
    failed = ucat("nowhere.invalid", 9, "--stats=json")
    failed.end(3)
    stats = json.loads(failed.errors().splitlines()[-1])
    assert (stats["peer"], stats["result"], stats["transport"]) == (None, "name", None)


def test_checksums(ucat: Any, listening: Any) -> None:
    """With -v both sides tell the same SHA-256 of what passed, in each direction."""
    server = listening("-e", "cat >&2; printf answer")
    client = ucat("-v", "127.0.0.1", server.port(), stdin=b"question")
    assert client.end() == b"answer"
    server.end()
    question, answer = (hashlib.sha256(text).hexdigest() for text in (b"question", b"answer"))
    assert f"ucat: SHA-256 sent: {question}\nucat: SHA-256 received: {answer}\n" in client.errors()
    assert f"ucat: SHA-256 sent: {answer}\nucat: SHA-256 received: {question}\n" in server.errors()


def test_one_family(ucat: Any, listening: Any) -> None:
    """-4 and -6 choose among the addresses of a name."""
    server = listening()
    assert ucat("-4", "localhost", server.port(), stdin=b"over IPv4").end() == b""
    assert server.end() == b"over IPv4"
    failed = ucat("-6", "127.0.0.1", 9000)
    failed.end(2)
    assert "ipVersion=6: expected a name, or an IPv6 address, as the host, not '127.0.0.1'" in failed.errors()


# --- Closed descriptors ----------------------------------------------------------------------------------------


def shell(ucat: Any, command: str) -> Any:
    """A ucat with redirections."""
    return ucat("-c", f"exec {UCAT} {command}", program=("bash",))


def test_closed_input(ucat: Any, listening: Any, file: Path) -> None:
    """<&- is nothing to send."""
    with open(file, "rb") as source:
        server = listening(stdin=source)
        assert shell(ucat, f"127.0.0.1 {server.port()} <&-").end() == DATA
        assert server.end() == b""


def test_closed_output(ucat: Any, listening: Any) -> None:
    """>&- does no harm until something arrives, which is then lost, and said so."""
    server = listening("-k")
    sender = shell(ucat, f"127.0.0.1 {server.port()} >&- <<< text")
    sender.end()
    server.wait_for("received 5 B")
    server.process.terminate()
    assert server.end(128 + signal.SIGTERM) == b"text\n"
    receiver = shell(ucat, "-v -l 0 -s 127.0.0.1 >&-")
    ucat("127.0.0.1", receiver.port(), stdin=b"text").process.communicate(b"text", 30)
    receiver.end(10)
    assert "cannot write standard output: bad file descriptor" in receiver.errors()


def test_closed_errors(ucat: Any, listening: Any, file: Path) -> None:
    """2>&- keeps messages out of the data."""
    with open(file, "rb") as source:
        server = listening(stdin=source)
        assert shell(ucat, f"-v 127.0.0.1 {server.port()} 2>&- <&-").end() == DATA
        server.end()


# --- When it fails ---------------------------------------------------------------------------------------------


def test_port_in_use(ucat: Any) -> None:
    """One line, with a remedy."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        failed = ucat("-l", port, "-s", "127.0.0.1")
        failed.end(8)
    where = f"127.0.0.1:{port}"
    assert failed.errors() == (
        f"ucat: {port}: cannot listen on {where}: address already in use; "
        "stop the program that uses it, or choose another port\n"
    )


def test_nobody_answers(ucat: Any) -> None:
    """One line, with a remedy."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        failed = ucat("127.0.0.1", silent.getsockname()[1], "--connect-timeout", "0.2")
        failed.end(5)
    assert re.fullmatch(
        r"ucat: 127\.0\.0\.1:\d+: no answer in time; check that the other side is running.*\n", failed.errors()
    )


def test_waited_long_enough(ucat: Any, listening: Any) -> None:
    """-w ends an attempt to connect, over whatever it is, and a connection that carries nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        failed = ucat("127.0.0.1", silent.getsockname()[1], "-w", "0.2")
        failed.end(5)
    assert "no answer in time" in failed.errors()
    server = listening("-w", "0.2")
    idle = ucat("127.0.0.1", server.port(), stdin=subprocess.PIPE)
    assert server.process.wait(30) == 5
    assert re.search(r"127\.0\.0\.1:\d+: nothing sent or received for 0\.2 s, see --wait", server.errors())
    assert idle.process.wait(30) == 6


def test_refused(ucat: Any, listening: Any) -> None:
    """A listener that has its connection refuses the next."""
    server = listening(stdin=subprocess.PIPE)
    first = ucat("127.0.0.1", server.port(), stdin=subprocess.PIPE)
    server.wait_for("connection from")
    failed = ucat("127.0.0.1", server.port())
    failed.end(4)
    assert re.match(r"ucat: 127\.0\.0\.1:\d+: refused; check that a server listens", failed.errors())
    first.process.stdin.close()
    server.process.stdin.close()
    assert (first.process.wait(30), server.process.wait(30)) == (0, 0)


@pytest.mark.parametrize("where", [("nowhere.invalid", "9"), ("tcp:nowhere.invalid:9",)])
def test_name_not_found(ucat: Any, where: tuple[str, ...]) -> None:
    """One line, with a remedy, for any kind of endpoint."""
    failed = ucat(*where)
    failed.end(3)
    assert failed.errors() == f"ucat: {':'.join(where)}: name not found; check its spelling, or give an address\n"


def test_refused_ipv6(ucat: Any) -> None:
    """An address with colons has brackets beside its port."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
        bound.bind(("::1", 0))
        port = bound.getsockname()[1]
    failed = ucat("::1", str(port))
    failed.end(4)
    assert failed.errors().startswith(f"ucat: [::1]:{port}: refused; ")


def test_refused_by_another_protocol(ucat: Any) -> None:
    """What is said does not presume uTP."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as bound:  # it has the port, but does not listen
        bound.bind(("127.0.0.1", 0))
        where = f"tcp:127.0.0.1:{bound.getsockname()[1]}"
        failed = ucat(where)
        failed.end(4)
    remedy = "check that a server listens on this port, with this protocol"
    assert failed.errors() == f"ucat: {where}: refused; {remedy}\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_full_disk(ucat: Any, listening: Any) -> None:
    """The receiver says so, and the sender does not take it for success."""
    with open("/dev/full", "wb") as full:
        receiver = listening(stdout=full)
        sender = ucat("127.0.0.1", receiver.port(), stdin=DATA)
        sender.end(6)
        receiver.end(10)
    assert "cannot write standard output: no space left on device; what was written is incomplete" in receiver.errors()
    assert "aborted by the peer" in sender.errors()


def test_broken_pipe(ucat: Any, listening: Any) -> None:
    """Whoever read our output has gone."""
    receiver = listening()
    sender = ucat("127.0.0.1", receiver.port(), stdin=subprocess.PIPE)
    sender.process.stdin.write(DATA[:100_000])
    sender.process.stdin.flush()
    assert receiver.process.stdout.read(1000) == DATA[:1000]
    receiver.process.stdout.close()
    with pytest.raises(BrokenPipeError):
        for _ in range(1000):
            sender.process.stdin.write(DATA)
    assert receiver.process.wait(30) == 141
    assert sender.process.wait(30) == 6
    assert "the reader of our standard output has gone" in receiver.errors()


def test_head(ucat: Any, listening: Any) -> None:
    """In a pipeline that wants only the beginning it ends at once, without a traceback."""
    server = listening("-e", "yes")
    shell = f"{UCAT} 127.0.0.1 {server.port()} | head -c 1; exit ${{PIPESTATUS[0]}}"
    receiver = ucat("-c", shell, program=("bash",))
    assert receiver.end(141) == b"y"
    (line,) = receiver.errors().splitlines()[:-1]
    assert line == "ucat: the reader of our standard output has gone; the peer was told to stop"
    assert receiver.errors().splitlines()[-1].startswith("ucat: sent 0 B, received")
    server.end(6)


def test_unreadable_input(ucat: Any, listening: Any) -> None:
    """What cannot be read is no empty stream."""
    server = listening()
    descriptor = os.open(os.devnull, os.O_WRONLY)
    failed = ucat("127.0.0.1", server.port(), stdin=descriptor)
    os.close(descriptor)
    failed.end(10)
    server.end(6)
    assert "cannot read standard input: bad file descriptor" in failed.errors()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(ucat: Any, listening: Any, number: signal.Signals) -> None:
    """It tells the peer, says so, and ends with 128 and the number."""
    server = listening(stdin=subprocess.PIPE)
    client = ucat("-v", "127.0.0.1", server.port(), stdin=subprocess.PIPE)
    client.wait_for("connected to")  # the server knows of it earlier
    client.process.send_signal(number)
    assert client.process.wait(30) == 128 + number
    assert f"ended by {number.name}; what was sent may be incomplete" in client.errors()
    assert server.process.wait(30) == 6


def test_signal_while_dialling(ucat: Any) -> None:
    """Nothing to tell anybody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        client = ucat("-vv", "127.0.0.1", silent.getsockname()[1])
        client.wait_for("connecting")
        client.process.send_signal(signal.SIGINT)
        client.end(130)
    assert "Traceback" not in client.errors()


# --- On a terminal ---------------------------------------------------------------------------------------------


def on_terminal(*arguments: object, **keywords: Any) -> tuple[subprocess.Popen[bytes], Any, list[bytes]]:
    """
    A ucat whose standard error is a terminal; the bytes that it shows.
    """
    ours, theirs = pty.openpty()
    shown: list[bytes] = []
    command = [str(Path(sys.executable).parent / "ucat"), *map(str, arguments)]
    process = subprocess.Popen(command, stderr=theirs, **keywords)
    os.close(theirs)

    def read() -> None:
        try:
            while data := os.read(ours, 65536):
                shown.append(data)
        except OSError:
            os.close(ours)  # nobody has the terminal any more

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return process, thread, shown


def test_progress(listening: Any, file: Path) -> None:
    """With standard error on a terminal a line shows bytes, rate and the path, and goes away at the end."""
    server = listening(stdout=subprocess.DEVNULL)
    with open(file, "rb") as source:
        arguments = ("127.0.0.1", server.port())
        process, thread, shown = on_terminal(*arguments, stdin=source, stdout=subprocess.DEVNULL)
        assert process.wait(30) == 0
    thread.join(30)
    text = b"".join(shown).decode()
    assert re.search(r"0%\|.*/5\.00M.*RTT .* ms, queue .* ms, \d+ resent", text)
    assert re.search(r"\r +\r.*ucat: sent 5 MB, received 0 B", text, re.S)


def test_no_progress(listening: Any, file: Path) -> None:
    """--no-progress and --quiet leave the terminal empty."""
    server = listening(stdout=subprocess.DEVNULL)
    with open(file, "rb") as source:
        arguments = ("127.0.0.1", server.port(), "--no-progress", "--quiet")
        process, thread, shown = on_terminal(*arguments, stdin=source, stdout=subprocess.DEVNULL)
        assert process.wait(30) == 0
    thread.join(30)
    assert b"".join(shown) == b""


def test_typing(listening: Any) -> None:
    """Standard input may be a terminal; there the peer's end is ours, without a Ctrl-D."""
    server = listening("-e", "read line; echo got $line")
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).parent / "ucat"), "127.0.0.1", str(server.port())]
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    os.close(theirs)
    os.write(ours, b"hello\n")
    assert process.communicate(timeout=30)[0] == b"got hello\n"
    assert process.returncode == 0
    os.close(ours)
    server.end()
