"""
Congestion controllers: how many bytes may be in flight.

L{base <twisted_utp.proto.congestion.base>} has the interface and the registry; each controller has a file.
"""

# Imported for their registration: a name must be known before a configuration is validated.
from twisted_utp.proto.congestion import cubic as _cubic
from twisted_utp.proto.congestion import fixed as _fixed
from twisted_utp.proto.congestion import ledbat as _ledbat
from twisted_utp.proto.congestion import ledbatpp as _ledbatpp
from twisted_utp.proto.congestion.scavenger import controller as _scavenger

__all__: list[str] = []
del _cubic, _fixed, _ledbat, _ledbatpp, _scavenger
