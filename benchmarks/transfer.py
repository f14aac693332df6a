"""
How is one transfer measured, whoever sends it to whomever, and through whatever?
"""

from __future__ import annotations

import contextlib
import sys

from benchmarks.child import Child
from benchmarks.contenders import Contender
from benchmarks.measure import Figures


def relay(port: int, delay: float = 0.0, loss: float = 0.0) -> Child:
    """
    A path to that port which is long or loses packets; see C{relays/udp_relay.py}.
    """
    options = [str(port), "--delay", str(delay), "--loss", str(loss)]
    return Child([sys.executable, "-m", "benchmarks.relays.udp_relay", *options])


def transfer(
    sender: Contender,
    receiver: Contender,
    megabytes: float,
    *,
    connections: int = 1,
    delay: float | None = None,
    loss: float | None = None,
) -> Figures:
    """
    Send so much, in fresh processes.

    Speed is from the first write to the last byte's arrival.  CPU seconds are each process's own, from when the
    connections are open until everything has arrived, and the sender's connections have ended.

    @param delay: seconds in each direction, through a relay; C{loss} the probability of each datagram's loss.
    @raise MeasurementFailed: not everything arrived.
    """
    share = max(int(megabytes * 1e6) // connections, 1)
    nbytes = share * connections
    with contextlib.ExitStack() as running:
        listening = running.enter_context(receiver.start("serve", "sink", nbytes))
        port = listening.expect("listening")["port"]
        if delay is not None or loss is not None:
            path = running.enter_context(relay(port, delay or 0.0, loss or 0.0))
            port = path.expect("listening")["port"]
        before = listening.now()["cpu"]
        sending = running.enter_context(sender.start("bulk", port, nbytes, connections))
        sent = sending.expect("done")
        received = listening.wait_until("received", nbytes)
    gigabytes = nbytes / 1e9
    spent_sending, spent_receiving = sent["cpu"] / gigabytes, (received["cpu"] - before) / gigabytes
    return {
        "MB/s": nbytes / 1e6 / (received["last"] - sent["started"]),
        "CPU s/GB": spent_sending + spent_receiving,
        "sender": spent_sending,
        "receiver": spent_receiving,
    }
