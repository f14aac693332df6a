"""
Can a program change settings on what is running, by name and by setter?
"""

from __future__ import annotations

from typing import Any

import pytest

from twisted_utp import UTPConfig, UTPProtocol

SETTERS = {
    "set_send_buffer": ("send_buffer", 5000),
    "set_receive_buffer": ("receive_buffer", 100_000),
    "set_target_delay": ("target_delay", 0.02),
    "set_keepalive": ("keepalive", 7),
}


@pytest.mark.parametrize("setter", SETTERS)
def test_setters(machines: Any, setter: str) -> None:
    """On a connection for itself, on a port for the connections to come; a bad value names the setting."""
    name, value = SETTERS[setter]
    client, server, port = machines.pair()
    for settable in (client.transport, port):
        getattr(settable, setter)(value)
        with pytest.raises(ValueError, match=f"^{name}=-1: expected "):
            getattr(settable, setter)(-1)
    assert getattr(client.transport.settings, name) == value
    assert server.transport.settings == UTPConfig()
    machines.connect()
    machines.advance(0.1)
    assert getattr(port.factory.built[-1].transport.settings, name) == value


def test_transport_follows(machines: Any) -> None:
    """The buffer's limit, no delay and keepalive are what they were set to, under all their names."""
    client, server, _ = machines.pair()
    transport = client.transport
    transport.change_settings(send_buffer=5000, no_delay=True, keepalive=0)
    assert (transport.bufferSize, transport.getTcpNoDelay(), transport.getTcpKeepAlive()) == (5000, True, False)
    transport.change_settings(keepalive=3)
    assert transport.getTcpKeepAlive() and transport.getTcpNoDelay()
    before = transport.stats().packets_received
    server.transport.set_keepalive(2)
    machines.advance(7)
    assert transport.stats().packets_received == before + 3


def test_window_update_is_sent(machines: Any) -> None:
    """A larger receive buffer reaches the peer without anything else being sent."""
    client, server, _ = machines.pair()
    client.transport.set_receive_buffer(8 * 1024 * 1024)
    machines.advance(0.1)
    assert server.transport.stats().peer_window == 8 * 1024 * 1024


def test_after_the_end(machines: Any) -> None:
    """Setting something on a connection that has ended does nothing harmful."""
    client, _, _ = machines.pair()
    client.transport.abortConnection()
    transport = client.transport
    machines.result(client.lost)
    transport.set_send_buffer(5000)
    machines.advance(1)
    assert transport.settings.send_buffer == 5000


def test_port_before_it_is_open(machines: Any) -> None:
    """A UTPProtocol takes settings before it has a port."""
    protocol = UTPProtocol(machines.server)
    protocol.set_keepalive(3)
    assert protocol.multiplexer.config.keepalive == 3
