"""
Run a command on an SSH server, on any endpoint, with Twisted's Conch (needs the examples extra)::

    python examples/ssh_client.py utp:127.0.0.1:2222 KEYS "hello over SSH"

KEYS is the folder that ssh_server.py made: the server must have the key in host.pub, and guest is ours.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.conch.error import ConchError
from twisted.conch.ssh import channel, common, connection, keys, transport, userauth
from twisted.internet import defer, endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure


class Connection(connection.SSHConnection):
    """
    What carries channels, once we have logged in.
    """

    def serviceStarted(self) -> None:
        """
        We have.
        """
        super().serviceStarted()
        self.transport.ready.callback(self)  # type: ignore[union-attr]


class KeyLogin(userauth.SSHUserAuthClient):
    """
    Logs in with a key, once.
    """

    def __init__(self, key: Any, instance: Connection) -> None:
        super().__init__(b"guest", instance)
        self._keys = [key]

    def getPublicKey(self) -> Any:
        """
        The half to offer; L{None} when the server did not take it.
        """
        self._key = self._keys.pop() if self._keys else None
        return self._key and self._key.public()

    def getPrivateKey(self) -> Any:
        """
        The half to sign with.
        """
        return defer.succeed(self._key)


class Client(transport.SSHClientTransport):
    """
    The encrypted connection.

    @ivar ready: fires with a L{Connection} when we have logged in.
    """

    def __init__(self, folder: Path) -> None:
        self.ready: Deferred[Connection] = Deferred()
        self._host = keys.Key.fromFile(str(folder / "host.pub"))
        self._key = keys.Key.fromFile(str(folder / "guest"))

    def verifyHostKey(self, host: bytes, fingerprint: bytes) -> Any:
        """
        Take the key that we know and no other.
        """
        if keys.Key.fromString(host) == self._host:
            return defer.succeed(True)
        return defer.fail(ConchError(f"the server's key is another one: {fingerprint.decode()}"))

    def connectionSecure(self) -> None:
        """
        Log in.
        """
        self.requestService(KeyLogin(self._key, Connection()))

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        Too early, perhaps.
        """
        super().connectionLost(reason)
        if not self.ready.called:
            self.ready.errback(ConchError("the server did not let us in"))


class Command(channel.SSHChannel):
    """
    One command.

    @ivar finished: fires with its exit status.
    """

    name = b"session"

    def __init__(self, command: str) -> None:
        super().__init__()
        self.finished: Deferred[int] = Deferred()
        self._command = command.encode()
        self._status = 255

    def channelOpen(self, specificData: bytes) -> None:
        """
        Run it.
        """
        self.conn.sendRequest(self, b"exec", common.NS(self._command))  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """
        What it says.
        """
        print(data.decode(), end="", flush=True)

    def request_exit_status(self, data: bytes) -> None:
        """
        How it ended.
        """
        self._status = int.from_bytes(data, "big")

    def closed(self) -> None:
        """
        It has said everything.
        """
        self.finished.callback(self._status)


async def main(reactor: Any, endpoint: str, folder: str, command: str) -> None:
    """
    Connect, log in, run, and end as the command did.
    """
    client = endpoints.clientFromString(reactor, endpoint)
    ssh: Any = await client.connect(Factory.forProtocol(lambda: Client(Path(folder))))
    running = Command(command)
    (await ssh.ready).openChannel(running)
    status = await running.finished
    ssh.transport.loseConnection()
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
