"""
An SSH server by Twisted's Conch on any endpoint, which answers in capitals (needs the examples extra)::

    python examples/ssh_server.py utp:2222 KEYS
    python examples/ssh_client.py utp:127.0.0.1:2222 KEYS "hello over SSH"

The folder KEYS gets a pair of keys for the server, and one for its only user, guest.  OpenSSH reaches it through ucat::

    ssh -p 2222 -i KEYS/guest -o ProxyCommand='ucat -q %h %p' guest@127.0.0.1 hello over OpenSSH
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch import avatar, checkers, error, interfaces
from twisted.conch.ssh import factory, keys, session
from twisted.cred.portal import IRealm, Portal
from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.python.components import registerAdapter
from zope.interface import implementer


class Guest(avatar.ConchUser):
    """
    Who has logged in: may open sessions, and nothing else.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self.reactor = reactor
        self.channelLookup[b"session"] = session.SSHSession


@implementer(interfaces.ISession)
class Capitals:
    """
    What a session can do: C{exec}, with the command as the text.
    """

    def __init__(self, guest: Guest) -> None:
        self._reactor = guest.reactor

    def execCommand(self, process: Any, command: bytes) -> None:
        """
        Answer, once Conch has told the client that its command runs.
        """
        self._reactor.callLater(0, self._answer, process, command)

    def _answer(self, process: Any, command: bytes) -> None:
        """
        All output, and exit status 0.
        """
        process.write(command.upper() + b"\n")
        process.session.conn.sendRequest(process.session, b"exit-status", bytes(4))
        process.loseConnection()

    def getPty(self, term: bytes, window: Any, modes: Any) -> None:
        """
        There is none.
        """
        raise error.ConchError("no terminals here")

    def windowChanged(self, size: Any) -> None:
        """Nobody draws."""

    def openShell(self, process: Any) -> None:
        """
        Neither is there a shell.
        """
        raise error.ConchError("no shells here, give a text")

    def eofReceived(self) -> None:
        """Nothing was expected."""

    def closed(self) -> None:
        """Nothing to clean up."""


@implementer(IRealm)
class Realm:
    """
    Makes guests of all who have proved who they are.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def requestAvatar(self, name: Any, mind: object, *wanted: object) -> Any:
        """
        A guest.
        """
        return interfaces.IConchUser, Guest(self._reactor), lambda: None


def key_pair(folder: Path, name: str) -> Any:
    """
    The private key in a folder, made when there is none.
    """
    path = folder / name
    if not path.exists():
        folder.mkdir(exist_ok=True)
        key = keys.Key(Ed25519PrivateKey.generate())
        path.touch(mode=0o600)
        path.write_bytes(key.toString("openssh"))
        path.with_suffix(".pub").write_bytes(key.public().toString("openssh") + b"\n")
    return keys.Key.fromFile(str(path))


async def main(reactor: Any, endpoint: str = "utp:2222", folder: str = "keys") -> None:
    """
    Serve until interrupted.
    """
    host, guest = key_pair(Path(folder), "host"), key_pair(Path(folder), "guest")
    registerAdapter(Capitals, Guest, interfaces.ISession)
    server: Any = factory.SSHFactory()
    server.publicKeys = {host.sshType(): host.public()}
    server.privateKeys = {host.sshType(): host}
    known = checkers.InMemorySSHKeyDB({b"guest": [guest.public()]})
    server.portal = Portal(Realm(reactor), [checkers.SSHPublicKeyChecker(known)])
    port = await endpoints.serverFromString(reactor, endpoint).listen(server)
    print(f"SSH on {port.getHost()}", flush=True)
    await Deferred()


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
