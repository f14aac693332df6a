"""
Do four web servers share a port, each connection staying with its process, also when one of them dies and comes again?
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol

from tests.glue.test_real_sockets import asynchronous, until
from twisted_utp.errors import UTPConnectionReset

reactor: Any = _reactor
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux spreads peers over processes")

CONNECTIONS = 48  # with four processes, one has none once in 250,000 times


class Browser(Protocol):
    """Keeps its connection, and asks over it who serves it."""

    def __init__(self) -> None:
        self._data = b""
        self._asking: Deferred[int] | None = None
        self.lost: Any = None

    def ask(self) -> Deferred[int]:
        self._data = b""
        self._asking = Deferred()
        self.transport.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return self._asking.addTimeout(20, reactor)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        found = re.search(rb"\r\n\r\n(\d+)\n", self._data)
        if found and self._asking is not None:
            asking, self._asking = self._asking, None
            asking.callback(int(found[1]))

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason.value


@asynchronous
async def test_four_processes(start_python: Any, examples: Path, free_port: int) -> None:
    """The three that live go on; the peers of the one that died know at once; its successor is given new ones."""

    def serving() -> Any:
        string = f"utp:{free_port}:interface=127.0.0.1:reusePort=1"
        script = str(examples / "which_process.rpy")
        program = start_python(
            "-m", "twisted", "--log-format=text", "web", "--listen", string, "--resource-script", script
        )
        program.wait_for_line("starting on")
        return program

    async def browsers() -> list[Browser]:
        # Settings that differ: so each has a port of its own, as those of different hosts would look.
        where = f"utp:127.0.0.1:{free_port}"
        return [
            await clientFromString(reactor, f"{where}:mtu={1400 - at}").connect(Factory.forProtocol(Browser))
            for at in range(CONNECTIONS)
        ]

    programs = [serving() for _ in range(4)]
    old = await browsers()
    served = {browser: await browser.ask() for browser in old}
    assert len(Counter(served.values())) == 4
    victims = {browser for browser in old if served[browser] == programs[1].pid}
    going_on = [browser for browser in old if browser not in victims]
    programs[1].kill()
    assert [await browser.ask() for browser in going_on] == [served[browser] for browser in going_on]
    for browser in victims:
        browser.transport.write(b"is anybody there")
    await until(lambda: all(browser.lost for browser in victims))
    assert all(isinstance(browser.lost, UTPConnectionReset) for browser in victims)
    programs[1] = serving()
    assert [await browser.ask() for browser in going_on] == [served[browser] for browser in going_on]
    new = await browsers()
    assert programs[1].pid in {await browser.ask() for browser in new}
    assert [await browser.ask() for browser in going_on] == [served[browser] for browser in going_on]
    for browser in going_on + new:
        browser.transport.abortConnection()
    await until(lambda: all(browser.lost for browser in going_on + new))
