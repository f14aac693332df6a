"""
How do two peers come together: who listens, who connects, and what if the other one is not ready?
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from twisted.internet import endpoints
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from bittorrent.wire import PeerWire

PAUSE = 0.5
"""Seconds before a peer is dialled again."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    C{--listen} and C{--peer}, one of which must be given.
    """
    meeting = parser.add_mutually_exclusive_group(required=True)
    meeting.add_argument("--listen", metavar="ENDPOINT", help="wait for peers, for example utp:6881")
    meeting.add_argument("--peer", metavar="ENDPOINT", help="connect to a peer, for example utp:127.0.0.1:6881")
    parser.add_argument(
        "--patience", metavar="SECONDS", type=float, default=0.0,
        help="with --peer: for so long, dial again when the peer refuses or leaves early",
    )  # fmt: skip


async def meet(
    reactor: Any, make_peer: Callable[[], PeerWire], options: argparse.Namespace, ever: bool = False
) -> None:
    """
    Listen or connect, with whatever transport the endpoint string names, until a connection has ended after which the
    leech has everything.

    @param ever: go on listening all the same, if we listen.
    @raise SystemExit: the peer has left early, and there is no patience left.
    """
    finished: Deferred[None] = Deferred()
    ever = ever and options.listen is not None

    def build() -> PeerWire:
        peer = make_peer()
        peer.ended.addCallback(left, peer)
        return peer

    def left(count: int, peer: PeerWire) -> int:
        first = "we" if peer.left_first else "the peer"
        print(f"{first} closed first, with {count} of {peer.offered} pieces", flush=True)
        if count == peer.offered and not ever and not finished.called:
            finished.callback(None)
        return count

    if options.listen:
        port = await endpoints.serverFromString(reactor, options.listen).listen(Factory.forProtocol(build))
        print(f"listening on {port.getHost()}", flush=True)
        await finished
    else:
        await _dial(reactor, Factory.forProtocol(build), finished, options)


async def _dial(reactor: Any, factory: Factory[Any], finished: Deferred[None], options: argparse.Namespace) -> None:
    endpoint = endpoints.clientFromString(reactor, options.peer)
    deadline = reactor.seconds() + options.patience
    while not finished.called:
        try:
            peer = await endpoint.connect(factory)
            print(f"connected to {options.peer}", flush=True)
            await peer.ended
            trouble = "the peer left early"
        except ConnectError as error:
            trouble = str(error)
        if not finished.called:
            if reactor.seconds() >= deadline:
                raise SystemExit(f"{options.peer}: {trouble}")
            await deferLater(reactor, PAUSE)
