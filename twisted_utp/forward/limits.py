"""
How much a forwarder may do, and for how long it may do nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

# More than a busy service has at a time, and at some 100 kB of buffers each what a small machine can still carry.
DEFAULT_MAX_CONNECTIONS = 1000

# As TCP's and uTP's own endpoints wait.
DEFAULT_CONNECT_TIMEOUT = 30.0

# What an interactive user tolerates after Ctrl-C, and enough for a request that is under way.
DEFAULT_GRACE = 10.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """
    The limits of a forwarder.

    @ivar max_connections: at a time; one more is refused.
    @ivar connect_timeout: seconds that the far side may take to accept.
    @ivar idle_timeout: seconds without a byte in either direction after which a connection is cut; 0 for never.
    @ivar grace: seconds that connections may still take when the forwarder is stopped.
    @ivar proxy_protocol: the version of the header that tells the service who its client is; 0 for none.
    """

    max_connections: int = DEFAULT_MAX_CONNECTIONS
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    idle_timeout: float = 0.0
    grace: float = DEFAULT_GRACE
    proxy_protocol: int = 0
