"""
How do two peers come together: who listens, and who connects?
"""

from __future__ import annotations

import argparse
from typing import Any

from twisted.internet import endpoints
from twisted.internet.protocol import Factory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    C{--listen} and C{--peer}, one of which must be given.
    """
    meeting = parser.add_mutually_exclusive_group(required=True)
    meeting.add_argument("--listen", metavar="ENDPOINT", help="wait for peers, for example utp:6881")
    meeting.add_argument("--peer", metavar="ENDPOINT", help="connect to a peer, for example utp:127.0.0.1:6881")


async def meet(reactor: Any, factory: Factory[Any], options: argparse.Namespace) -> None:
    """
    Listen or connect, with whatever transport the endpoint string names.
    """
    if options.listen:
        port = await endpoints.serverFromString(reactor, options.listen).listen(factory)
        print(f"listening on {port.getHost()}", flush=True)
    else:
        await endpoints.clientFromString(reactor, options.peer).connect(factory)
        print(f"connected to {options.peer}", flush=True)
