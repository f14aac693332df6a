"""
What C{twist} calls to make a forwarder.

C{IServiceMaker} passes no reactor, so this is the one place in the package that takes the global one.  It does so in
the call, by when C{twist} has installed what C{--reactor} asks for.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService

from twisted_utp._hints import endpoint_from
from twisted_utp.forward.options import Options, fail
from twisted_utp.forward.route import Route
from twisted_utp.forward.service import ForwardService


def makeService(options: Options) -> IService:
    """
    See L{IServiceMaker.makeService <twisted.application.service.IServiceMaker.makeService>}.
    """
    from twisted.internet import reactor

    routes = []
    for names in zip(options.ends["listen"], options.ends["connect"], strict=True):
        listen = _parsed("listen", names[0], reactor, options.completed(names[0]))
        connect = _parsed("connect", names[1], reactor, options.completed(names[1]))
        routes.append(Route(listen, connect, names))
    service: IService = ForwardService(reactor, routes, options.limits(), _metrics(options["metrics"], routes, reactor))
    return service


def _parsed(option: str, given: str, reactor: Any, string: str) -> Any:
    try:
        return endpoint_from(reactor, string, listens=option != "connect")
    except ValueError as error:
        fail(f"--{option} {given}: {error}")


def _metrics(string: str | None, routes: list[Route], reactor: Any) -> tuple[str, Any, Any] | None:
    if string is None:
        return None
    try:
        from twisted_utp.forward.metrics import MetricsSite
    except ImportError as error:
        fail(f"--metrics: {error}; pip install 'twisted-utp[prometheus]'")
    return string, _parsed("metrics", string, reactor, string), MetricsSite(routes)
