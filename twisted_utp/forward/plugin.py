"""
What does C{twist} call to make a forwarder?

C{IServiceMaker} passes no reactor, so this is the one place in the package that takes the global one.  It does so in
the call, by when C{twist} has installed what C{--reactor} asks for.
"""

from __future__ import annotations

from twisted.application.service import IService
from twisted.internet.endpoints import clientFromString, serverFromString

from twisted_utp.forward.options import Options, fail
from twisted_utp.forward.service import ForwardService


def makeService(options: Options) -> IService:
    """
    See L{IServiceMaker.makeService <twisted.application.service.IServiceMaker.makeService>}.
    """
    from twisted.internet import reactor

    try:
        option = "listen"
        listen = serverFromString(reactor, options.endpoint("listen"))
        option = "connect"
        connect = clientFromString(reactor, options.endpoint("connect"))
    except (ValueError, TypeError, NotImplementedError, OSError) as error:
        fail(f"--{option} {options[option]}: {error}")
    service: IService = ForwardService(
        reactor, listen, connect, options.limits(), names=(options["listen"], options["connect"])
    )
    return service
