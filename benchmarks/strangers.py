"""
What does somebody who reads nothing get out of a real server?

C{python benchmarks/strangers.py blind} plays an attacker who forges the address of a victim and never sees an answer,
against C{twist web} with default settings, on loopback.  It sends 100,000 packets in a minute: SYNs, guesses of the
proof with a request in them, and ascending acknowledgements.  What the server sends to the victim's address is counted
at the victim's own socket, which nobody reads for the attacker.  docs/security.rst promises
at most 3 times what he sent.

C{python benchmarks/strangers.py strays} downloads a file from that server, without and beside 5,000 packets a second of
no connection, in turns: plain ones, ones with as many extensions as fit, and datagrams of 64 kB.  docs/security.rst
promises four fifths of the rate.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HEADER = struct.Struct(">BBHIIIHH")
DATA, STATE, SYN = 0x01, 0x21, 0x41
REQUEST = b"GET /big HTTP/1.0\r\n\r\n"
PORT = 19_700
FILE_SIZE = 400_000_000

# For each connection that is tried: guesses of the proof (a fourth wrong one would only meet a RESET), then so many
# acknowledgements, each so much further on.
GUESSES = 3


def packet(kind: int, connection_id: int, seq: int, ack: int, payload: bytes = b"") -> bytes:
    """A packet without a usable echo, since the attacker sees no timestamp."""
    timestamp, difference = random.getrandbits(32), random.getrandbits(32)
    header = HEADER.pack(kind, 0, connection_id & 65535, timestamp, difference, 1 << 24, seq & 65535, ack & 65535)
    return header + payload


def attack(acks: int, step: int) -> Iterator[bytes]:
    """The attacker's packets, for ever: one connection after the other."""
    for number in range(0, 1 << 30, 2):
        seq = random.getrandbits(16)
        yield packet(SYN, number, seq, 0)
        first = random.getrandbits(16)
        for guess in range(GUESSES):
            yield packet(DATA, number + 1, seq + 1, first + guess, REQUEST)
        for turn in range(acks):
            # Whichever guess was right, something ascends from it.
            yield packet(STATE, number + 1, seq + 2, first + turn % GUESSES + turn * step)


def lucky(server: tuple[str, int], victim: socket.socket, acks: int, step: int) -> Iterator[bytes]:
    """
    What follows once a guess was right: the attacker is given the one number that he would have had to guess (here, and
    only here, somebody reads the SYN-ACK), and acknowledges blindly from then on.
    """
    seq, number = random.getrandbits(16), random.getrandbits(16)
    victim.sendto(packet(SYN, number, seq, 0), server)
    victim.settimeout(5)
    first = HEADER.unpack_from(victim.recv(65536))[6]
    yield packet(DATA, number + 1, seq + 1, first - 1, REQUEST)
    ack = first - 1
    for _ in range(acks):
        ack += step
        yield packet(STATE, number + 1, seq + 2, ack)


def received(victim: socket.socket) -> int:
    """Bytes that have come to the victim."""
    victim.setblocking(False)
    total = 0
    while True:
        try:
            total += len(victim.recv(65536))
        except BlockingIOError:
            return total


def run(packets: Iterator[bytes], victim: socket.socket, server: tuple[str, int], count: int, seconds: float) -> str:
    """Send them evenly from the victim's address; what came back."""
    sent = back = done = 0
    begun = time.monotonic()
    for data in packets:
        victim.sendto(data, server)
        sent += len(data)
        done += 1
        if done >= count:
            break
        if done % 20 == 0:
            back += received(victim)
            time.sleep(max(begun + seconds * done / count - time.monotonic(), 0))
    time.sleep(min(seconds, 5))
    back += received(victim)
    return f"{done} packets, {sent / 1e6:.2f} MB sent, {back / 1e6:.2f} MB drawn: {back / sent:.2f} times"


def stray_datagrams() -> dict[str, bytes]:
    """What to flood with, by name."""
    chain = bytes((127, 0)) * 725 + bytes(2)
    header = HEADER.pack(DATA, 0, 7, 1, 1, 1 << 20, 7, 7)
    return {
        "20 bytes": header,
        "1,472 bytes": header + bytes(1452),
        "726 extensions": header[:1] + b"\x02" + header[2:] + chain,
        "64 kB": header + bytes(65_487),
    }


def flood(data: bytes, where: tuple[str, int], rate: int, seconds: float) -> None:
    """Send evenly, from one stranger's address."""
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    begun, done = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        due = int((time.monotonic() - begun) * rate)
        for _ in range(due - done):
            stranger.sendto(data, where)
        done = due
        time.sleep(0.002)


def download(folder: str) -> float:
    """Seconds that an honest client takes for the whole file."""
    example = Path(__file__).resolve().parent.parent / "examples" / "download.py"
    command = [sys.executable, str(example), f"utp:127.0.0.1:{PORT}", "/big", "-o", f"{folder}/copy"]
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


def strays(folder: str, rounds: int) -> None:
    """Rates with and without a flood, in turns; the median of their ratios."""
    for name, data in stray_datagrams().items():
        ratios = []
        for _ in range(rounds):
            alone = download(folder)
            attacker = multiprocessing.Process(target=flood, args=(data, ("127.0.0.1", PORT), 5000, 120))
            attacker.start()
            beside = download(folder)
            attacker.terminate()
            attacker.join()
            ratios.append(alone / beside)
        rate = FILE_SIZE / alone / 1e6
        print(f"beside 5,000 strays a second of {name}: {statistics.median(ratios):.0%} of {rate:.0f} MB/s", flush=True)


def serve(folder: str) -> subprocess.Popen[bytes]:
    """A real server with default settings."""
    twist = Path(sys.executable).with_name("twist")
    listen = f"utp:{PORT}:interface=127.0.0.1"
    server = subprocess.Popen(
        [twist, "--log-file", f"{folder}/log", "web", "--path", folder, "--listen", listen],
    )
    log = Path(folder, "log")
    while not log.exists() or "Starting reactor" not in log.read_text():
        assert server.poll() is None, "the server did not start"
        time.sleep(0.1)
    return server


def main() -> None:
    """Run one of the attacks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attack", choices=["blind", "strays"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--packets", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/big", "wb") as big:
            big.truncate(FILE_SIZE)
        server = serve(folder)
        if options.attack == "strays":
            try:
                strays(folder, options.rounds)
            finally:
                server.terminate()
                server.wait()
            return
        victim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        victim.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 25)
        victim.bind(("127.0.0.1", 0))
        where = ("127.0.0.1", PORT)
        try:
            for acks, step in ((0, 1), (20, 5), (300, 10)):
                text = run(attack(acks, step), victim, where, options.packets // 3, options.seconds / 3)
                print(f"guesses, then {acks} acknowledgements in steps of {step}: {text}", flush=True)
            for step in (1, 3, 10):
                text = run(lucky(where, victim, 2000, step), victim, where, 2000, 10)
                print(f"one lucky guess, then steps of {step}: {text}", flush=True)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
