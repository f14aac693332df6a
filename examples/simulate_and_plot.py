"""
Two transfers over one simulated link, the second in the middle of the first, traced and drawn.

    python simulate_and_plot.py [-o ledbat.svg] [--congestion ledbat] [--loss 0.01]

The link: 10 Mb/s, 50 ms of round trip, 500 ms of buffer.  It takes a second or two, though half a minute passes on the
link.  Needs matplotlib (pip install 'twisted-utp[plot]').
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted_utp import UTPConfig
from twisted_utp.plot import main as plot
from twisted_utp.qlog import QlogTracer
from twisted_utp.testing import DropTail, Pair

RATE = 10_000_000  # bits per second
ONE_WAY = 25_000  # µs
BUFFER = 500  # ms
LATER = 8.0  # seconds until the second transfer


def simulate(directory: str, congestion: str, loss: float, seconds: float) -> None:
    """
    Run both transfers and leave the senders' traces in a directory.
    """
    tracer = QlogTracer(directory, epoch=lambda: 0)  # time begins with the simulation
    link = {"rate": RATE, "delay": ONE_WAY, "queue": DropTail(milliseconds=BUFFER), "loss": loss or None}
    pair = Pair(seed=1, up=link, down={"delay": ONE_WAY}, config=UTPConfig(congestion=congestion), log=False)
    pair.client.multiplexer.tracer = tracer
    endless = int(RATE / 8 * seconds)
    pair.start_transfer(pair.connect(), endless)
    pair.run_for(LATER)
    pair.start_transfer(pair.connect(), int(endless / 6))
    pair.run_for(seconds - LATER)
    tracer.close()


def main() -> int:
    """
    Read the command line, simulate, draw.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", default="ledbat.svg")
    parser.add_argument("--congestion", default="ledbat")
    parser.add_argument("--loss", type=float, default=0.0, help="probability of losing each packet")
    parser.add_argument("--seconds", type=float, default=30.0, help="to be simulated")
    options = parser.parse_args()
    with TemporaryDirectory() as directory:
        simulate(directory, options.congestion, options.loss, options.seconds)
        traces = sorted(str(path) for path in Path(directory).iterdir())
        title = f"{options.congestion}: 10 Mb/s, 50 ms, 500 ms of buffer"
        if options.loss:
            title += f", {options.loss:.1%} loss"
        return plot([*traces, "-o", options.output, "--title", title])


if __name__ == "__main__":
    sys.exit(main())
