"""
Does docs/libutp.rst have everything of libutp's interface, and is each of its tests there?
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from random import Random
from typing import Any

from twisted_utp import UTPProtocol

CHECKOUT = Path(__file__).resolve().parent.parent.parent
TABLES = (CHECKOUT / "docs" / "libutp.rst").read_text("utf-8")

# What utp.h (libutp 2b364cb) declares: functions, callbacks, options, states, errors and the fields of its statistics.
FUNCTIONS = """
    init destroy set_callback context_set_userdata context_get_userdata context_set_option context_get_option
    process_udp process_icmp_error process_icmp_fragmentation check_timeouts issue_deferred_acks get_context_stats
    create_socket set_userdata get_userdata setsockopt getsockopt connect write writev getpeername read_drained
    get_delays get_stats get_context shutdown close
"""
CONSTANTS = """
    ON_FIREWALL ON_ACCEPT ON_CONNECT ON_ERROR ON_READ ON_OVERHEAD_STATISTICS ON_STATE_CHANGE GET_READ_BUFFER_SIZE
    ON_DELAY_SAMPLE GET_UDP_MTU GET_UDP_OVERHEAD GET_MILLISECONDS GET_MICROSECONDS GET_RANDOM LOG SENDTO LOG_NORMAL
    LOG_MTU LOG_DEBUG SNDBUF RCVBUF TARGET_DELAY UDP_DONTFRAG STATE_CONNECT STATE_WRITABLE STATE_EOF STATE_DESTROYING
    ECONNREFUSED ECONNRESET ETIMEDOUT
"""
STATISTICS = """
    _nraw_recv _nraw_send nbytes_recv nbytes_xmit rexmit fastrexmit nxmit nrecv nduprecv mtu_guess
"""


def rows() -> list[tuple[str, str]]:
    """The first and the last column."""
    cells = re.findall(r"^   (?:\*| ) - (.+)$", TABLES, re.MULTILINE)
    assert len(cells) % 3 == 0
    columns = list(zip(cells[::3], cells[2::3], strict=True))
    return [(name, test) for name, test in columns if name != "libutp"]


def functions_of(path: Path) -> set[str]:
    """Test functions and methods of a file."""
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test")}


def test_every_name_has_a_row() -> None:
    """All of utp.h, and nothing else but what stands under "Beyond utp.h"."""
    wanted = {f"utp_{name}" for name in FUNCTIONS.split()} | {f"UTP_{name}" for name in CONSTANTS.split()}
    wanted |= set(STATISTICS.split())
    named = [name for cell, _ in rows() for name in re.findall("``(.+?)``", cell)]
    assert set(named) == wanted and len(named) == len(wanted)
    assert len([cell for cell, _ in rows() if "``" not in cell]) > 5


def test_every_test_exists() -> None:
    """A row's test is where it says."""
    for _, cell in rows():
        found = re.fullmatch(r"``([\w/]+\.py)::(test_\w+)``", cell)
        assert found, cell
        assert found[2] in functions_of(CHECKOUT / "tests" / found[1]), cell


def test_security_names_its_tests() -> None:
    """The tests that docs/security.rst and docs/ports.rst name exist, too."""
    known = {name for path in (CHECKOUT / "tests").rglob("test_*.py") for name in functions_of(path)}
    for page in ("security.rst", "ports.rst"):
        text = (CHECKOUT / "docs" / page).read_text("utf-8")
        named = set(re.findall(r"``(test_\w+)``", text))
        assert named and named <= known, page
        for path in re.findall(r"``((?:proto|glue)/test_\w+\.py)``", text):
            assert (CHECKOUT / "tests" / path).exists(), path


# --- Rows whose test is nowhere else ------------------------------------------------------------------------------


def test_attributes(machines: Any) -> None:
    """A program's own data lives on its protocols and factories."""
    client, server, port = machines.pair()
    client.userdata, port.factory.userdata = "a peer", "all peers"
    server.transport.write(b"x")
    machines.advance(0.1)
    assert (client.userdata, port.factory.userdata) == ("a peer", "all peers")


def test_the_port_of_a_connection(machines: Any) -> None:
    """Connections on one UDP port have the same UTPProtocol."""
    port = machines.listen()
    assert isinstance(port.protocol, UTPProtocol) and port.protocol.getHost() == port.getHost()


def test_randomness(machines: Any) -> None:
    """Ids and sequence numbers come from the generator that is given."""
    ids = []
    for _ in range(2):
        protocol = UTPProtocol(machines.server, rng=Random(5))
        connection = protocol.multiplexer.connect(("192.0.2.1", 1), now=1)
        ids.append((connection.handshake.syn_seq, connection.recv_id))
    assert ids[0] == ids[1]
