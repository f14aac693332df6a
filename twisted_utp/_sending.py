"""
Hands trains to a UDP port, also when one of them cannot be sent, or there is no room for the last ones.
"""

from __future__ import annotations

from twisted_utp.proto.values import Transmit
from twisted_utp.udp.interfaces import ITrainPort, SendFailed


def hand_over(port: ITrainPort, trains: list[Transmit], failed: SendFailed) -> list[Transmit]:
    """
    Hand trains to the kernel.  What the port raises is the fault of one of them, and harms no other.

    @param failed: see L{ITrainPort.send}; called also with what the port raised.
    @return: what there was no room for.
    """
    try:
        return port.send(trains, failed)
    except Exception:
        # Whose fault it is shows when each is sent alone.  What has left already leaves twice, which is no more than a
        # network may do.
        unsent = []
        for transmit in trains:
            try:
                unsent += port.send([transmit], failed)
            except Exception as error:
                failed(transmit, error)
        return unsent
