"""
Is the network of these tests what it claims to be?
"""

from __future__ import annotations

import socket
import subprocess
import sys

from harness.client import wait_until
from harness.closing import Closings
from harness.network import OURS, THEIRS, free_port, within


def test_tcp_cannot_pass(net):
    """
    Neither way: a SYN is dropped between them.
    """
    for source, target in ((net.theirs, net.ours), (net.ours, net.theirs)):
        before = net.tcp_dropped()
        address = target.run("ip", "-4", "-o", "address", "show", "dev", "eth0").split()[3].partition("/")[0]
        with within(target, lambda: socket.create_server(("0.0.0.0", 0))) as listening, within(source, tcp) as dialling:
            assert dialling.connect_ex((address, listening.getsockname()[1])) != 0
            wait_until(lambda: net.tcp_dropped() > before, "a dropped SYN", 10)  # noqa: B023


def tcp() -> socket.socket:
    """
    One that does not wait.
    """
    made = socket.socket()
    made.setblocking(False)
    return made


def udp() -> socket.socket:
    """
    One that waits, but not for ever.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("0.0.0.0", 0))
    made.settimeout(10)
    return made


def test_udp_passes(net):
    """
    With the address from which it was sent.
    """
    with within(net.ours, udp) as ours, within(net.theirs, udp) as theirs:
        theirs.sendto(b"hello", (OURS, ours.getsockname()[1]))
        assert ours.recvfrom(100) == (b"hello", ("10.77.2.2", theirs.getsockname()[1]))


def test_who_sends_the_first_fin(net):
    """
    Of two FINs the first one counts; DATA and other connections do not.
    """
    fin, data = b"\x11" + bytes(19), b"\x01" + bytes(19)
    with within(net.ours, udp) as ours, within(net.theirs, udp) as theirs:
        port = theirs.getsockname()[1]
        closings = Closings(net)
        try:
            for sender, receiver, host, packet in (
                (ours, theirs, THEIRS, data), (theirs, ours, OURS, fin), (ours, theirs, THEIRS, fin),
            ):  # fmt: skip
                sender.sendto(packet, (host, receiver.getsockname()[1]))
                receiver.recv(100)
            wait_until(lambda: closings.first(port), "a FIN", 10)
            assert closings.first(port) == "they"
            assert closings.first(port + 1) is None
        finally:
            closings.stop()


def test_a_packet_is_lost_so_often(net, start, checkout):
    """
    DATA whose seq_nr is chosen arrives when it is sent for the third time, and the relay says so.
    """
    with within(net.ours, udp) as ours, within(net.theirs, udp) as theirs:
        relay = start(
            *net.path.enter, sys.executable, "-m", "benchmarks.relays.udp_relay", ours.getsockname()[1], "--server",
            OURS, "--bind", "10.77.2.1", "--every", "512", "--again", "2", "--packets", "1", stdin=subprocess.PIPE,
            env={"PYTHONPATH": str(checkout)},
        )  # fmt: skip
        port = relay.wait_for_event("listening")["port"]
        for number in (511, 512, 512, 512, 1024):
            theirs.sendto(b"\x01" + bytes(15) + number.to_bytes(2, "big") + bytes(600), ("10.77.2.1", port))
        assert [int.from_bytes(ours.recv(1000)[16:18], "big") for _ in range(3)] == [511, 512, 1024]
        relay.say("counts")
        counts = relay.wait_for_event("counts")
        assert (counts["seen"], counts["lost"], counts["again"]) == (5, 2, {"2": 1})


def test_a_port_is_free(net):
    """
    And is another one each time.
    """
    assert len({free_port(net.theirs) for _ in range(3)}) > 1


def test_the_relay(net, start, checkout):
    """
    Some datagrams are lost, some arrive after those that were sent after them, and it says how many.
    """
    with within(net.ours, udp) as ours, within(net.theirs, udp) as theirs:
        weather = ["--loss", "0.2", "--late", "0.2", "--late-by", "0.01", "--seed", "5"]
        relay = start(
            *net.path.enter, sys.executable, "-m", "benchmarks.relays.udp_relay", ours.getsockname()[1],
            "--server", OURS, "--bind", "10.77.2.1", *weather, stdin=subprocess.PIPE, env={"PYTHONPATH": str(checkout)},
        )  # fmt: skip
        port = relay.wait_for_event("listening")["port"]
        for number in range(100):
            theirs.sendto(bytes([number]), ("10.77.2.1", port))
        counts = {"seen": 0}
        while counts["seen"] < 100:
            relay.say("counts")
            counts = relay.wait_for_event("counts")
        arrived = [ours.recv(100)[0] for _ in range(100 - counts["lost"])]
        assert counts["lost"] > 5 and counts["late"] > 5
        assert len(set(arrived)) == len(arrived)
        overtaken = sum(number < max(arrived[:at], default=0) for at, number in enumerate(arrived))
        assert 5 < overtaken <= counts["late"]
