"""
Does a server that is ended by SIGTERM deliver what it has promised, however its reactor is run?
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol

pytestmark = pytest.mark.conformance

SCRIPTS = Path(sys.executable).parent
LENGTH = 1_000_000

PROMISE = f"""
from twisted.application import strports
from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

class Promise(Protocol):
    def connectionMade(self):
        self.transport.write(bytes({LENGTH}))
        self.transport.loseConnection()

factory = Factory.forProtocol(Promise)

def makeService(options):
    return strports.service("utp:0:interface=127.0.0.1", factory)

async def main(reactor):
    await endpoints.serverFromString(reactor, "utp:0:interface=127.0.0.1").listen(factory)
    reactor.addSystemEventTrigger("before", "shutdown", print, "Received SIGTERM")
    await Deferred()

if __name__ == "__main__":
    import sys
    from twisted.python import log
    log.startLogging(sys.stdout)
    task.react(main)
"""

TAC = """
import promise
from twisted.application.service import Application
application = Application("promise")
promise.makeService({}).setServiceParent(application)
"""

PLUGIN = """
from twisted.application.service import ServiceMaker
from twisted.python.usage import Options
maker = ServiceMaker("promise", "promise", "keeps its promises", "promise")
import promise
promise.Options = Options
"""


class Slow(Protocol):
    """
    Stops reading at the first bytes.
    """

    def __init__(self) -> None:
        self.received = 0
        self.began: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self.reason: Any = None

    def dataReceived(self, data: bytes) -> None:
        if not self.received:
            self.transport.pauseProducing()
            self.began.callback(None)
        self.received += len(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason
        self.lost.callback(None)


@pytest.mark.parametrize("runner", ["react", "twistd", "twist"])
@pytest_twisted.ensureDeferred
async def test_sigterm(start: Any, tmp_path: Path, runner: str) -> None:
    """A megabyte for a client that reads too slowly arrives after the signal, and all ends well on both sides."""
    (tmp_path / "promise.py").write_text(PROMISE)
    (tmp_path / "promise.tac").write_text(TAC)
    (tmp_path / "twisted" / "plugins").mkdir(parents=True)
    (tmp_path / "twisted" / "plugins" / "promise_plugin.py").write_text(PLUGIN)
    command = {
        "react": [sys.executable, "promise.py"],
        "twistd": [SCRIPTS / "twistd", "-n", "--pidfile=", "-y", "promise.tac"],
        "twist": [SCRIPTS / "twist", "promise"],
    }[runner]
    server = start(*command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    port = server.wait_for_line(r"Factory starting on (\d+)")[1]
    client: Any = await clientFromString(reactor, f"utp:127.0.0.1:{port}:receiveBuffer=16384").connect(
        Factory.forProtocol(Slow)
    )
    await client.began
    server.interrupt()
    server.wait_for_line("Received SIGTERM")
    client.transport.resumeProducing()
    await client.lost
    assert client.reason.check(ConnectionDone) and client.received == LENGTH
    server.wait_for_exit(code=None)
