"""
What does a connection hold that does nothing, with all that the Twisted side adds?
"""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

from twisted.internet.protocol import Factory, Protocol

from tests.glue.conftest import SERVER
from twisted_utp import UTPConfig
from twisted_utp.protocol import UTPProtocol

if TYPE_CHECKING:
    from tests.glue.conftest import Machines

COUNT = 200

# An end.  Allocators and pages add a tenth to it, which benchmarks/run.py --only memory shows.
GOAL = 4_300


def test_an_idle_connection(machines: Machines) -> None:
    """What only a connection that sends or loses something needs is not made before."""
    config = UTPConfig(max_per_host=10 * COUNT)
    server, client = UTPProtocol(machines.server, config), UTPProtocol(machines.client, config)
    machines.server.listenUDP(9000, server)
    machines.client.listenUDP(0, client)
    server.listen(Factory.forProtocol(Protocol))
    factory = Factory.forProtocol(Protocol)

    def open_connections(count: int) -> None:
        for _ in range(count):
            client.connect(factory, SERVER, 9000)
            machines.advance(0.002)
        machines.advance(1)
        gc.collect()

    open_connections(20)
    tracemalloc.start()
    try:
        open_connections(COUNT)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert server.stats().connections == client.stats().connections == COUNT + 20
    assert held / COUNT / 2 <= GOAL
