"""
When does a server's application hear of a client?  When that has proved its address, as with TCP.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectingCancelledError

from twisted_utp import UTPClientEndpoint
from twisted_utp.errors import UTPConnectionReset


def test_a_cancelled_dial_leaves_no_protocol(machines: Any) -> None:
    """Whoever gives up before the SYN-ACK reaches him is nobody to the server, and takes no place there."""
    port = machines.listen()
    dial = UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(machines.Building())
    machines.advance(0.007)  # the SYN has arrived
    assert port.stats().half_open == 1 and port.factory.addresses == []
    dial.cancel()
    assert isinstance(machines.failure(dial), ConnectingCancelledError)
    machines.advance(1)
    assert port.stats().connections == 0
    machines.advance(61)
    assert (port.stats().half_open, port.stats().connections) == (0, 0)
    assert port.factory.addresses == [] == port.factory.built


def test_none_is_a_connection_that_is_lost(machines: Any) -> None:
    """A factory that returns None: the client is connected for a moment, as with TCP."""
    machines.listen(lambda: None)
    client = machines.connect()
    machines.result(client.lost)
    assert client.calls[0] == "made" and client.reason.check(UTPConnectionReset)


def test_the_server_hears_with_the_first_packet_after(machines: Any) -> None:
    """One round trip and a half after the client dialled: our own initiators say at once that they are there."""
    port = machines.listen()
    UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(machines.Building())
    machines.advance(0.014)
    assert port.factory.built == []
    machines.advance(0.002)
    assert len(port.factory.built) == 1 and port.factory.built[0].calls == ["made"]
