"""
Tells systemd that a service is ready, and that it stops.

By a datagram to the socket that the environment names (sd_notify(3)).  That is a few lines, so no library is needed;
where nobody has set the variable nothing happens.
"""

from __future__ import annotations

import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def notify(state: str) -> bool:
    """
    Tell it.

    @param state: C{READY=1} or C{STOPPING=1}, for example.
    @return: whether there was somebody to tell.
    """
    path = os.environ.get(VARIABLE, "")
    family = getattr(socket, "AF_UNIX", None)
    if not path.startswith(("/", "@")) or family is None:
        return False
    # "@" stands for the zero byte of Linux' abstract addresses.
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(state.encode(), address)
    except OSError:
        return False
    return True
