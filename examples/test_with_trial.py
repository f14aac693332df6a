"""
Test an application over uTP with trial, in virtual time: seconds on the link take milliseconds, and come out the same
each time.

    trial examples/test_with_trial.py
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.error import TimeoutError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.wire import Echo
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from twisted_utp.testing.reactor_pair import ReactorPair


class Ask(Protocol):
    """
    Sends a question, and fires with what has come back when the connection ends.
    """

    def __init__(self, question: bytes) -> None:
        self.question = question
        self.answer: Deferred[bytes] = Deferred()
        self._received = b""

    def connectionMade(self) -> None:
        """
        Ask.
        """
        assert self.transport is not None
        self.transport.write(self.question)

    def dataReceived(self, data: bytes) -> None:
        """
        Hang up when all is back.
        """
        self._received += data
        if len(self._received) == len(self.question):
            assert self.transport is not None
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Tell.
        """
        self.answer.callback(self._received)


class EchoTests(TestCase):
    """
    A server and a client on two simulated hosts.
    """

    def make_pair(self, **link: Any) -> ReactorPair:
        """
        A pair that is stopped when the test ends.
        """
        pair = ReactorPair(link=link)
        self.addCleanup(pair.stop)
        return pair

    async def ask(self, pair: ReactorPair, question: bytes) -> bytes:
        """
        Start the server, ask it once, and stop it.
        """
        port = await serverFromString(pair.server, "utp:9000").listen(Factory.forProtocol(Echo))
        ask = await connectProtocol(clientFromString(pair.client, "utp:server.example:9000"), Ask(question))
        answer: bytes = await ask.answer
        await port.stopListening()
        return answer

    def test_echo(self) -> None:
        """
        What is sent comes back, and nothing is left over.
        """
        pair = self.make_pair()
        self.assertEqual(pair.wait_for(self.ask(pair, b"hello")), b"hello")
        pair.assert_clean()

    def test_echo_on_a_bad_link(self) -> None:
        """
        All of it, on a link that loses every fiftieth packet; not sooner than 2 Mb/s allow.
        """
        pair = self.make_pair(rate=2_000_000, delay=50_000, loss=0.02)
        began = pair.client.seconds()
        question = bytes(range(256)) * 1000
        self.assertEqual(pair.wait_for(self.ask(pair, question)), question)
        self.assertGreater(pair.client.seconds() - began, len(question) * 8 / 2_000_000)

    def test_nobody_there(self) -> None:
        """
        A link that is down: the attempt ends after C{connect_timeout}.
        """
        pair = self.make_pair()
        pair.up.down_for(3_600_000_000)
        endpoint = clientFromString(pair.client, "utp:server.example:9000:timeout=10")
        began = pair.client.seconds()
        with self.assertRaises(TimeoutError):
            pair.wait_for(connectProtocol(endpoint, Ask(b"hello")))
        self.assertAlmostEqual(pair.client.seconds() - began, 10, delta=0.1)
