"""
What does a core hold, and does each connection wait for something?

Weighing follows every reference from the multiplexer, so it needs no list of the tables that there are, and a new one
is weighed as soon as it exists.
"""

from __future__ import annotations

import gc
import sys
from enum import Enum
from random import Random
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.constants import (
    MAX_REORDER,
    MAX_WAITING_ANSWERS,
    RESET_SOURCES_REMEMBERED,
)
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.states import State
from twisted_utp.proto.timers import NEVER
from twisted_utp.testing.fuzz.world import Wrong
from twisted_utp.testing.guards import unguarded

if TYPE_CHECKING:
    from twisted_utp.testing.fuzz.end import End

# What does not belong to one port: code, and what its owner gave it.
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, Enum, Random, UTPConfig)

# Bytes that a port may hold without any connection: two limiters with as many sources each, answers that wait, and what
# a hash table wastes.
PER_PORT = 2 * RESET_SOURCES_REMEMBERED * 400 + MAX_WAITING_ANSWERS * 300 + 200_000
# Of a connection, whatever it does: the objects that it consists of, its share of the port's tables, and the history of
# delays.
PER_CONNECTION = 24_000
# Of a packet that is kept: an entry in a table, and what a bytes object has beside its bytes.
PER_PACKET = 220
# What was written is kept in the pieces in which it was written or sent, until the last byte of each has arrived.
PER_BYTE_WRITTEN = 2


def weigh(multiplexer: Multiplexer) -> tuple[int, list[Connection]]:
    """
    Bytes that can be reached from a multiplexer, without what belongs to its owner; and the connections among them.
    """
    seen: set[int] = set()
    connections: list[Connection] = []
    total = 0
    layer: list[Any] = [multiplexer]
    while layer:
        fresh = []
        for thing in layer:
            if id(thing) in seen or isinstance(thing, _SHARED):
                continue
            seen.add(id(thing))
            total += sys.getsizeof(thing)
            fresh.append(thing)
            if isinstance(thing, Connection):
                connections.append(thing)
                seen.add(id(thing.user_data))
        layer = gc.get_referents(*fresh)
    return total, connections


def bound(connections: list[Connection]) -> int:
    """
    What a port with these connections may hold, by their settings.
    """
    total = PER_PORT
    for connection in connections:
        application = connection.user_data
        written = application.written if application is not None else 0
        received = connection.stats().packets_received
        total += PER_CONNECTION + written * PER_BYTE_WRITTEN
        total += 2 * connection.config.receive_buffer + min(MAX_REORDER, received) * PER_PACKET
    return total


def check_memory(end: End) -> None:
    """
    A core holds no more than its settings allow.
    """
    held, connections = weigh(end.multiplexer)
    allowed = bound(connections)
    if held > allowed:
        raise Wrong("memory is bounded", f"{end.name}: {held} bytes, {len(connections)} connections, {allowed} allowed")
    settings = end.multiplexer.config
    # Who dials is not limited, and what lingers may be as many again as what is used.
    dialled = sum(application.dialled for application in end.applications)
    if len(connections) > 2 * settings.max_connections + settings.backlog + dialled:
        raise Wrong("connections are bounded", f"{end.name}: {len(connections)}")


def check_deadlines(end: End) -> None:
    """
    Whatever waits for something has a deadline, and the port knows the first of them.
    """
    due = end.multiplexer.poll_timeout()
    for application in end.living:
        connection = application.connection
        reason = unguarded(connection)
        if reason is not None:
            raise Wrong("whatever waits has a deadline", f"{end.name} {application.name}: {reason}")
        at = min(connection.timers)
        if at != NEVER and (due is None or due > at):
            raise Wrong("the port's deadline is its connections' first", f"{end.name} {application.name}")


def check_cut_off(end: End) -> None:
    """
    An hour after the last packet everybody has heard of it, but for who has nothing under way and wants no keepalives,
    and who is paused while the last bytes wait for him.
    """
    for application in end.living:
        connection = application.connection
        stats = connection.stats()
        if connection.state is State.LINGERING and application.paused:
            continue
        if application.keepalive or stats.bytes_in_flight or stats.bytes_unsent:
            raise Wrong("who is cut off hears of it", f"{end.name} {application.name}: {stats}")


def check_nothing_left(end: End) -> None:
    """
    After a long silence a core holds no connection, has counted none, and waits for nothing.
    """
    multiplexer = end.multiplexer
    left = weigh(multiplexer)[1]
    port = multiplexer.snapshot()
    if left or len(multiplexer):
        states = [(one.state.name, getattr(one.user_data, "name", "nobody's"), min(one.timers)) for one in left]
        raise Wrong("no connection is left", f"{end.name}: {len(multiplexer)}, {states}")
    if port.connections or port.half_open:
        raise Wrong("the census counts nobody", f"{end.name}: {port.connections}, {port.half_open} half open")
    if multiplexer.poll_timeout() is not None:
        raise Wrong("no deadline is left", end.name)
    if multiplexer.poll_events() or multiplexer.poll_transmits(now=end.now) or not multiplexer.is_idle():
        raise Wrong("nothing is left to do", end.name)
    unheard = [application.name for application in end.living]
    if unheard:
        raise Wrong("every application hears the end", f"{end.name}: {unheard}")
    if weigh(multiplexer)[0] > PER_PORT:
        raise Wrong("memory is free again", f"{end.name}: {weigh(multiplexer)[0]} bytes")
