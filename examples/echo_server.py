"""
Echo what arrives, on any endpoint::

    python examples/echo_server.py utp:9000
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo


async def main(reactor: Any, endpoint: str = "utp:9000") -> None:
    """
    Serve until interrupted.
    """
    port = await endpoints.serverFromString(reactor, endpoint).listen(Factory.forProtocol(Echo))
    print(f"echoing on {port.getHost()}", flush=True)
    await Deferred()


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
