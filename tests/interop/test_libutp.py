"""
Do we exchange bytes with libutp, and with npm's uTP in JavaScript, both ways, whoever connects and closes first?
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop

HERE = Path(__file__).resolve().parent
OURS, THEIRS = HERE / "exchange.py", HERE / "libutp_peer" / "exchange.js"
NOT_512_PACKETS = 250_000
MEGABYTE = 1 << 20
TIMEOUT = 90


def expected_digest(seed: str, length: int) -> str:
    """
    What the receiver must report.
    """
    return hashlib.sha256(hashlib.shake_256(seed.encode()).digest(length)).hexdigest()


def run_exchange(
    start,
    start_python,
    node,
    *,
    we: str,
    first: str,
    ours: int,
    theirs: int,
    settings: str = "",
    stack: str = "utp-native",
    through=lambda port: port,
) -> None:
    """
    One connection between C{exchange.py} and C{exchange.js}, to its end on both sides, digests checked.

    @param through: takes the port that listens, and returns the one to dial.
    """
    our_options = ["--send", ours, "--seed", "ours", "--close", "first" if first == "we" else "second"]
    their_options = ["--send", theirs, "--seed", "theirs", "--close", "first" if first == "they" else "second"]
    their_options += ["--stack", stack]
    our_options, their_options = map(str, our_options), map(str, their_options)
    if we == "connect":
        peer = start(node, THEIRS, "listen", *their_options)
        port = through(peer.wait_for_event("listening")["port"])
        our = start_python(OURS, "connect", f"utp:127.0.0.1:{port}{settings}", *our_options)
    else:
        our = start_python(OURS, "listen", f"utp:0:interface=127.0.0.1{settings}", *our_options)
        port = through(our.wait_for_event("listening")["port"])
        peer = start(node, THEIRS, "connect", str(port), *their_options)
    our_account = our.wait_for_event("done", timeout=TIMEOUT)
    their_account = peer.wait_for_event("done", timeout=TIMEOUT)
    our.wait_for_exit()
    peer.wait_for_exit()
    assert (our_account["received"], our_account["sha256"]) == (theirs, expected_digest("theirs", theirs))
    assert (their_account["received"], their_account["sha256"]) == (ours, expected_digest("ours", ours))


@pytest.mark.parametrize("first", ["we", "they"])
@pytest.mark.parametrize("we", ["connect", "listen"])
def test_sixteen_megabytes_each_way(start, start_python, node, we, first):
    """
    16 MB in both directions at once, then a half close by one side, answered by the other's.
    """
    run_exchange(start, start_python, node, we=we, first=first, ours=16 * MEGABYTE, theirs=16 * MEGABYTE)


@pytest.mark.parametrize("we", ["connect", "listen"])
def test_limits_of_the_rate(start, start_python, node, we):
    """
    libutp keeps to the window that a limit shows it, in whole packets, and is not held up for longer; so do we.
    """
    began = time.monotonic()
    settings = ":maxSendRate=2MB/s:maxReceiveRate=1MB/s"
    run_exchange(
        start, start_python, node, we=we, first="they", ours=4 * MEGABYTE, theirs=2 * MEGABYTE, settings=settings
    )
    assert time.monotonic() - began >= 2 * MEGABYTE / 1_020_000 - 0.3  # however slow the machine is


@pytest.mark.parametrize("first", ["we", "they"])
@pytest.mark.parametrize("we", ["connect", "listen"])
def test_sixteen_megabytes_on_a_bad_path(start, start_python, node, checkout, we, first):
    """
    The same through a relay that loses 2 % of all datagrams, and lets others overtake as many.
    """

    def relay(port: int) -> int:
        weather = ["--delay", "0.002", "--loss", "0.02", "--late", "0.02", "--late-by", "0.001"]
        words = [sys.executable, "-m", "benchmarks.relays.udp_relay", port, *weather]
        return start(*words, stdin=subprocess.PIPE, env={"PYTHONPATH": str(checkout)}).wait_for_event("listening")[
            "port"
        ]

    amount = 16 * MEGABYTE
    run_exchange(start, start_python, node, we=we, first=first, ours=amount, theirs=amount, through=relay)


@pytest.mark.parametrize(("times", "packets"), [(2, 3), (3, 1)], ids=["twice", "thrice"])
@pytest.mark.parametrize("sender", ["we", "they"])
def test_one_packet_again_and_again(start, start_python, node, checkout, sender, times, packets):
    """
    A few packets are lost each time that they are sent, until the third or fourth: repeats of repeats, and timeouts
    that double.  libutp gives a connection up after the fourth timeout.
    """
    relays = []

    def relay(port: int) -> int:
        weather = ["--delay", "0.002", "--every", "512", "--again", times, "--packets", packets]
        words = [sys.executable, "-m", "benchmarks.relays.udp_relay", port, *weather]
        relays.append(start(*words, stdin=subprocess.PIPE, env={"PYTHONPATH": str(checkout)}))
        return relays[0].wait_for_event("listening")["port"]

    ours, theirs = (4 * MEGABYTE, 1) if sender == "we" else (1, 4 * MEGABYTE)
    run_exchange(start, start_python, node, we="connect", first="we", ours=ours, theirs=theirs, through=relay)
    relays[0].say("counts")
    assert relays[0].wait_for_event("counts")["again"] == {str(times): packets}


@pytest.mark.parametrize("first", ["we", "they"])
@pytest.mark.parametrize("we", ["connect", "listen"])
def test_one_way(start, start_python, node, we, first):
    """
    The initiator sends and the other side only listens, whoever closes first: acks and FINs without data to ride on.
    """
    ours, theirs = (16 * MEGABYTE, 0) if we == "connect" else (0, 16 * MEGABYTE)
    run_exchange(start, start_python, node, we=we, first=first, ours=ours, theirs=theirs)


@pytest.mark.parametrize("we", ["connect", "listen"])
def test_one_byte(start, start_python, node, we):
    """
    A connection whose data fits in the packet before the FIN.
    """
    run_exchange(start, start_python, node, we=we, first="we", ours=1, theirs=1)


def test_server_speaks_first(start, start_python, node):
    """
    A libutp client that says nothing hears us at once, where one byte may go before it has confirmed its address.
    """
    started = time.monotonic()
    run_exchange(start, start_python, node, we="listen", first="we", ours=MEGABYTE, theirs=0, settings=":earlyByte=1")
    assert time.monotonic() - started < 20  # its keepalive, which would confirm it too, comes after 29 s


@pytest.mark.parametrize("first", ["we", "they"])
@pytest.mark.parametrize("we", ["connect", "listen"])
@pytest.mark.parametrize("sender", ["we", "they"])
def test_who_ignores_extensions(start, start_python, node, we, first, sender):
    """
    npm's utp takes all that follows the header for data: MTU probes' padding must not be among it.

    Fewer than 512 packets: it keeps a repeated packet (a late timer is enough), and takes it for the one 512 later.
    """
    ours, theirs = (NOT_512_PACKETS, 1) if sender == "we" else (1, NOT_512_PACKETS)
    run_exchange(start, start_python, node, we=we, first=first, ours=ours, theirs=theirs, stack="utp")
