"""
What does C{twist utp-forward} do for whoever shares the line with a TCP upload?

The same upload by the kernel's TCP, first straight across the bottleneck and then through two forwarders, which carry
it by uTP.  A ping, as a call would send it, runs all the time.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass

from benchmarks.bottleneck.path import RECEIVER, SENDER, Path
from benchmarks.bottleneck.series import Point
from benchmarks.bottleneck.sharing import Flow, Seen, Setting, Span
from benchmarks.child import Child

# Of the link: the upload takes about as long as was asked for.
_ABOUT_PAYLOAD = 0.93

# In fresh namespaces every port is free.
_ACROSS, NEAR = 9000, 2222

_LONGEST_START = 30.0


@dataclass
class Uploads:
    """
    What happened.

    @ivar nbytes: of each upload.
    @ivar seen: the pings and the spans C{idle}, C{tcp} (straight) and C{utp} (through the forwarders).
    """

    nbytes: int
    seen: Seen

    def rate(self, span: str) -> float:
        """
        Bytes/s that the service got.
        """
        start, end = self.seen.spans[span]
        return self.nbytes / (end - start)


class _Forwarder(Child):
    """
    The program as users start it.
    """

    def wait(self) -> None:
        """
        Until it listens.
        """
        while b" listening on " not in self._line(time.monotonic() + _LONGEST_START):
            pass


def run(setting: Setting, key: str = "") -> Uploads:
    """
    Both uploads.

    @param key: a setting more for the string that sends, C{targetDelay=0.025} for example.
    @raise NotPossible: this machine does not let us.
    @raise MeasurementFailed: a program ended early.
    """
    nbytes = round(setting.rate / 8 * _ABOUT_PAYLOAD * setting.seconds)
    with contextlib.ExitStack() as running:
        path = running.enter_context(Path(setting.delay))
        path.squeeze(setting.rate, setting.buffer)
        echo = running.enter_context(path.receiver.start("benchmarks.bottleneck.ping", "echo", RECEIVER))
        service = running.enter_context(path.receiver.start("benchmarks.bottleneck.tcp_flow", "serve", RECEIVER))
        port = service.expect("listening")["port"]
        forward(setting, path, running, port, key)
        straight = running.enter_context(path.sender.start("benchmarks.bottleneck.tcp_flow", "send", RECEIVER, port))
        through = running.enter_context(path.sender.start("benchmarks.bottleneck.tcp_flow", "send", SENDER, NEAR))
        echoing = echo.expect("listening")["port"]
        ping = running.enter_context(path.sender.start("benchmarks.bottleneck.ping", "ping", RECEIVER, echoing))
        began = time.monotonic()
        time.sleep(min(2.0, setting.seconds / 4))
        marks = {"idle": (began, time.monotonic())}
        marks["tcp"] = _upload(straight, service, nbytes)
        time.sleep(setting.buffer + 2 * setting.delay)
        marks["utp"] = _upload(through, service, nbytes)
        time.sleep(setting.buffer + 2 * setting.delay)
        ping.tell("series")
        told = ping.expect("series")
    pings: list[Point] = [(when - began, trip) for when, trip in told["points"]]
    spans = {name: (start - began, end - began) for name, (start, end) in marks.items()}
    lost = [sent - began for sent in told["lost"]]
    return Uploads(nbytes, Seen(setting, Flow([]), Flow([]), pings, lost, spans))


def forward(setting: Setting, path: Path, running: contextlib.ExitStack, port: int, key: str = "") -> None:
    """
    Start two forwarders: what connects to C{NEAR} of the sender reaches that TCP port of the receiver.

    @param running: what ends them.
    @param key: a setting more for the string that sends.
    """
    across = f"utp:{RECEIVER}:{_ACROSS}:congestion={setting.congestion}{':' if key else ''}{key}"
    environment = {"TWISTED_UTP_OFFLOAD": "1" if setting.offload else "0"}
    for host, listen, connect in (
        (path.receiver, f"utp:{_ACROSS}", f"tcp:{RECEIVER}:{port}"),
        (path.sender, f"tcp:{NEAR}", across),
    ):
        words = [sys.executable, "-m", "twisted", "--log-format=text", "utp-forward", "-l", listen, "-c", connect]
        forwarder = _Forwarder([*host.enter, *words], environment)
        running.enter_context(forwarder)
        forwarder.wait()


def _upload(client: Child, service: Child, nbytes: int) -> Span:
    client.tell(f"start {nbytes}")
    ended: float = service.expect("received")["last"]
    return client.expect("done")["started"], ended
