"""
Does Twisted Conch's SSH client work on any endpoint?

C{ssh_command.py ENDPOINT USER PASSWORD COMMAND} runs a command on an SSH server, prints its output and exits with its
exit status.  The protocol classes are Conch's own, wired as in its documentation.
"""

from __future__ import annotations

import struct
import sys
from typing import Any

from twisted.conch.ssh import channel, common, connection, keys, transport, userauth
from twisted.internet import defer, endpoints, task
from twisted.internet.protocol import Factory


class Command(channel.SSHChannel):
    """
    One session that runs one command.
    """

    name = b"session"

    def __init__(self, command: bytes, status: defer.Deferred[int]) -> None:
        super().__init__()
        self._command = command
        self._status = status
        self._code = 255

    def channelOpen(self, specificData: bytes) -> None:
        """
        The session is there: run the command.
        """
        self.conn.sendRequest(self, b"exec", common.NS(self._command))

    def dataReceived(self, data: bytes) -> None:
        """
        What the command prints.
        """
        sys.stdout.write(data.decode())
        sys.stdout.flush()

    def request_exit_status(self, data: bytes) -> None:
        """
        How the command ended.  Output may still follow.
        """
        self._code = struct.unpack(">L", data)[0]

    def closed(self) -> None:
        """
        The end of the output.
        """
        self._status.callback(self._code)


class Session(connection.SSHConnection):
    """
    Opens the one channel as soon as we are logged in.
    """

    def __init__(self, command: bytes, status: defer.Deferred[int]) -> None:
        super().__init__()
        self._first = Command(command, status)

    def serviceStarted(self) -> None:
        """
        Logged in.
        """
        super().serviceStarted()
        self.openChannel(self._first)


class Login(userauth.SSHUserAuthClient):
    """
    Logs in with a password.
    """

    def __init__(self, user: bytes, password: str, instance: Session) -> None:
        super().__init__(user, instance)
        self._password: str | None = password

    def getPassword(self, prompt: str | None = None) -> Any:
        """
        The password, once: whoever refuses it would be asked for ever.
        """
        password, self._password = self._password, None
        return None if password is None else defer.succeed(password)

    def getPublicKey(self) -> keys.Key | None:
        """
        None: no key.
        """
        return None


class Client(transport.SSHClientTransport):
    """
    The SSH transport.  The test made the host key itself, so it takes any.
    """

    def __init__(self, user: str, password: str, command: str, status: defer.Deferred[int]) -> None:
        self._user, self._password = user.encode(), password
        self._session = Session(command.encode(), status)

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> Any:
        """
        Any.
        """
        return defer.succeed(1)

    def connectionSecure(self) -> None:
        """
        Encrypted: log in.
        """
        self.requestService(Login(self._user, self._password, self._session))


async def main(reactor: Any, endpoint: str, *arguments: str) -> None:
    """
    Connect, run, exit.
    """
    status: defer.Deferred[int] = defer.Deferred()
    factory = Factory.forProtocol(lambda: Client(*arguments, status))
    client: Any = await endpoints.clientFromString(reactor, endpoint).connect(factory)
    code = await status
    client.transport.loseConnection()
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: defer.Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
