"""
A daemon that echoes over uTP::

    twistd -n -y examples/service.tac

C{UTP_LISTEN} names another endpoint than utp:9000.
"""

import os

from twisted.application import service, strports
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

application = service.Application("echo over uTP")
strports.service(os.environ.get("UTP_LISTEN", "utp:9000"), Factory.forProtocol(Echo)).setServiceParent(application)
