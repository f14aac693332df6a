"""
Is a pair of reactors, and are pytest's fixtures for it, what a test of an application needs?
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import error
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, clientFromString, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool

from twisted_utp.testing.reactor_pair import ReactorPair

FIXTURES = "twisted_utp.testing.fixtures"


def listen(pair: ReactorPair, protocol: type[Protocol] = Protocol) -> Any:
    """The server listens."""
    return pair.wait_for(serverFromString(pair.server, "utp:9000").listen(Factory.forProtocol(protocol)))


def test_both_know_each_other_by_name() -> None:
    """Names of the hosts are resolved at both ends."""
    pair = ReactorPair()
    for reactor in (pair.client, pair.server):
        names = [pair.wait_for(reactor.resolve(name)) for name in ("client.example", "server.example")]
        assert names == ["10.0.0.1", "10.0.0.2"]


def test_links_have_the_settings_that_were_asked_for() -> None:
    """Those of one direction over those of both; what is wrong is named."""
    pair = ReactorPair(link={"delay": 1000, "rate": 1_000_000}, up={"rate": 2_000_000}, down={"loss": 0.5})
    assert (pair.up.delay, pair.up.rate, pair.up.loss) == (1000, 2_000_000, None)
    assert (pair.down.delay, pair.down.rate) == (1000, 1_000_000) and pair.down.loss is not None
    with pytest.raises(TypeError, match="rate='2M': expected 0 bits per second or more"):
        ReactorPair(link={"rate": "2M"})


def test_waiting_for_deferreds_and_coroutines() -> None:
    """Both run the virtual network; results and failures come out."""
    pair = ReactorPair()

    async def later(seconds: float, result: int) -> int:
        await deferLater(pair.server, seconds, lambda: None)
        return 1 // result

    began = pair.client.seconds()
    assert pair.wait_for(later(3600, 1), limit=4000) == 1
    assert pair.client.seconds() - began == 3600
    assert pair.wait_for(succeed("now")) == "now"
    with pytest.raises(ZeroDivisionError):
        pair.wait_for(later(1, 0))


def test_what_is_left_is_named() -> None:
    """An open port and a delayed call, with the host that they are on."""
    pair = ReactorPair()
    pair.assert_clean()
    port = listen(pair)
    with pytest.raises(AssertionError, match=r"left on server.example after 1 s: .*SimulatedUDPPort"):
        pair.assert_clean(after=1)
    pair.wait_for(port.stopListening())
    pair.client.callLater(100, print)
    with pytest.raises(AssertionError, match="left on client.example .*DelayedCall"):
        pair.assert_clean()


def test_stop_closes_everything() -> None:
    """Shutdown triggers have run, connections have ended, and a second stop does nothing."""
    pair = ReactorPair()
    lost: list[Any] = []

    class Notes(Protocol):
        def connectionLost(self, reason: Any = None) -> None:
            lost.append(reason.type)

    listen(pair, Notes)
    pair.wait_for(clientFromString(pair.client, "utp:server.example:9000").connect(Factory.forProtocol(Notes)))
    pair.advance(1)
    pair.stop()
    assert len(lost) == 2 and not pair.client.running and not pair.client.getReaders() + pair.server.getReaders()
    pair.stop()


# --- What a simulated reactor does not have ------------------------------------------------------------------------


def test_listening_on_tcp_says_what_to_use_instead() -> None:
    """Called, and through endpoints: an error of Twisted's, in one line."""
    reactor = ReactorPair().server
    with pytest.raises(error.CannotListenError) as caught:
        reactor.listenTCP(8080, Factory())
    assert str(caught.value) == (
        "Couldn't listen on any:8080: a simulated reactor has no TCP, only UDP; listen with "
        'UTPServerEndpoint(reactor, 8080) or serverFromString(reactor, "utp:8080").'
    )
    assert isinstance(caught.value, NotImplementedError)
    for refused in (
        lambda: reactor.wait_for(serverFromString(reactor, "tcp:8080").listen(Factory())),
        lambda: reactor.listenSSL(8080, Factory(), None),
        lambda: reactor.listenUNIX("/tmp/socket", Factory()),
        lambda: reactor.wait_for(serverFromString(reactor, "unix:/tmp/socket").listen(Factory())),
    ):
        with pytest.raises(error.CannotListenError, match="a simulated reactor has no .*only UDP; listen with"):
            refused()


def test_connecting_by_tcp_says_what_to_use_instead() -> None:
    """Also through Twisted's endpoints, by address and by name."""
    reactor = ReactorPair().client
    for refused in (
        lambda: reactor.connectTCP("10.0.0.2", 80, Factory()),
        lambda: reactor.wait_for(clientFromString(reactor, "tcp:10.0.0.2:80").connect(Factory())),
        lambda: reactor.wait_for(HostnameEndpoint(reactor, "server.example", 80).connect(Factory())),
    ):
        with pytest.raises(
            error.ConnectError, match=r"no TCP, only UDP; connect with UTPClientEndpoint\(reactor, .*80"
        ):
            refused()
    for other in (
        lambda: reactor.connectSSL("10.0.0.2", 443, Factory(), None),
        lambda: reactor.connectUNIX("/tmp/socket", Factory()),
    ):
        with pytest.raises(error.ConnectError, match="a simulated reactor has no .*only UDP; connect with"):
            other()


def test_threads_and_processes_are_refused() -> None:
    """They take real time."""
    reactor = ReactorPair().client
    for refused in (
        lambda: reactor.callInThread(print),
        lambda: deferToThreadPool(reactor, reactor.getThreadPool(), print),
        lambda: reactor.spawnProcess(None, "/bin/true"),
    ):
        with pytest.raises(NotImplementedError, match="a simulated reactor has no (threads|processes)"):
            refused()


# --- Fixtures ------------------------------------------------------------------------------------------------------

ASKS = f'pytest_plugins = ["{FIXTURES}"]\n'
FAULTY = """
from twisted.internet.task import deferLater

def test_one(reactor_pair):
    reactor_pair.wait_for(deferLater(reactor_pair.client, 1, lambda: 1))
    reactor_pair.client.callLater(1, lambda: 1 / 0)
    reactor_pair.advance(2)
"""
EXPECTING = """
def test_two(make_reactor_pair, flush_logged_errors):
    pair = make_reactor_pair(seed=5, link={"delay": 30_000})
    assert pair.simulator.seed == 5 and pair.up.delay == 30_000
    pair.client.callLater(1, lambda: 1 / 0)
    pair.advance(2)
    assert [failure.type for failure in flush_logged_errors(ZeroDivisionError, KeyError)] == [ZeroDivisionError]
    assert flush_logged_errors() == []
"""


def run_pytest(directory: Path, text: str) -> str:
    """Run a module of tests as its author would."""
    (directory / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60).stdout


def test_an_error_in_the_log_fails_the_test(tmp_path: Path) -> None:
    """With its traceback; one that the test has flushed does not."""
    output = run_pytest(tmp_path, ASKS + FAULTY + EXPECTING)
    assert "the test logged 1 errors, the first of them:" in output and "ZeroDivisionError" in output
    assert "2 passed, 1 error" in output


def test_who_does_not_ask_gets_nothing(tmp_path: Path) -> None:
    """No entry point: pytest imports nothing of this package by itself."""
    text = "import sys\ndef test_three():\n    assert not [name for name in sys.modules if 'twisted_utp' in name]\n"
    output = run_pytest(tmp_path, text + "def test_four(reactor_pair): pass\n")
    assert "1 passed, 1 error" in output and "fixture 'reactor_pair' not found" in output


def test_never_fires() -> None:
    """A Deferred that nothing will fire is a failure of the test, not a test that hangs."""
    with pytest.raises(AssertionError):
        ReactorPair().wait_for(Deferred(), limit=5)
