"""
Joins small datagrams that leave together for one address into trains.

Acknowledgements, SYNs, FINs and questions of many connections between two ports leave in one flush, each with a system
call that costs more than the datagram, at both ends.  The kernel cuts any buffer into datagrams of one length, of
which the last may be shorter, whatever connections they belong to.  What is joined is what can be cut that way; nothing
changes on the wire, and nothing overtakes anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted_utp.proto.values import Transmit

# Bytes of a datagram that is worth to be joined.  For larger ones the copy, and that the receiver cannot read a buffer
# of several connections by columns, costs what the calls save.
SMALL = 128


def joined(transmits: Sequence[Transmit], max_segments: int) -> list[Transmit]:
    """
    Join what can be joined.

    @param max_segments: datagrams that the kernel cuts a train into, at most.
    @return: the same datagrams in the same order.
    """
    groups: list[list[Transmit]] = []
    size = 0  # of those that may follow, 0 for none
    for transmit in transmits:
        nbytes, is_single = len(transmit.payload), transmit.count == 1 and not transmit.dont_fragment
        group = groups[-1] if groups else []
        if is_single and nbytes <= size and len(group) < max_segments and transmit.address == group[0].address:
            group.append(transmit)
            if nbytes < size:
                size = 0  # only the last may be shorter
        else:
            groups.append([transmit])
            size = nbytes if is_single and nbytes <= SMALL else 0
    return [_train(group) if len(group) > 1 else group[0] for group in groups]


def _train(group: list[Transmit]) -> Transmit:
    first = group[0]
    return Transmit(first.address, b"".join([one.payload for one in group]), len(first.payload), len(group))
