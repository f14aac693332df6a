"""
Does a connect time out although the time of day is set back by an hour meanwhile?

C{clocks.py REACTOR}: dials somebody who does not answer, and prints what came of it.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from importlib import import_module
from typing import Any

import_module(f"twisted.internet.{sys.argv[1]}reactor").install()

from twisted.internet import reactor as _reactor  # noqa: E402
from twisted.internet.protocol import Factory, Protocol  # noqa: E402

from twisted_utp import UTPConfig, UTPProtocol, _steady  # noqa: E402
from twisted_utp.udp import listen_udp  # noqa: E402

reactor: Any = _reactor
_steady.LOOK_INTERVAL = 0.2
offset = 0.0
reactor.seconds = lambda: time.time() + offset

silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 0))
protocol = UTPProtocol(reactor, UTPConfig(connect_timeout=1))


def ended(reason: Any) -> None:
    """It has failed."""
    print(json.dumps({"event": "outcome", "reason": reason.type.__name__, "seconds": time.monotonic() - began}))
    reactor.stop()


def set_back() -> None:
    """An hour."""
    global offset
    offset = -3600.0


began = time.monotonic()
listen_udp(reactor, 0, protocol, "127.0.0.1")
protocol.connect(Factory.forProtocol(Protocol), *silent.getsockname()).addErrback(ended)
reactor.callLater(0.1, set_back)
reactor.run()
