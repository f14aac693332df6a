"""
Do the settings of a UDP socket hold for all who use it, and is it said when one cannot have them?
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import CannotListenError, ConnectBindError

from tests.glue.test_real_sockets import ECHO, ask, asynchronous, hang_up, listen
from twisted_utp import UTPClientEndpoint, UTPProtocol, UTPServerEndpoint
from twisted_utp.udp.settings import SocketSettings

reactor: Any = _reactor
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has these options")


def mark(protocol: Any) -> int:
    """What the kernel has of a UTPProtocol's code point."""
    return int(protocol.transport.socket.getsockopt(socket.IPPROTO_IP, socket.IP_TOS)) >> 2


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("", SocketSettings()),
        (":dscp=le", SocketSettings(dscp=1)),
        (":dscp=AF11", SocketSettings(dscp=10)),
        (":dscp=46", SocketSettings(dscp=46)),
        (":dscp=default", SocketSettings(dscp=0)),
        (":device=eth0", SocketSettings(device="eth0")),
        (":device=wlan0.7:dscp=cs1", SocketSettings(device="wlan0.7", dscp=8)),
    ],
)
def test_strings(keys: str, wanted: SocketSettings) -> None:
    """Servers and clients take them."""
    for parse, where in (
        (serverFromString, "utp:80"),
        (serverFromString, "utp6:80"),
        (clientFromString, "utp:host:80"),
    ):
        assert parse(None, where + keys)._socket == wanted
    tls: Any = clientFromString(None, f"utps:host:80{keys}")
    assert tls._below._socket == wanted


def test_strings_of_servers() -> None:
    """What only servers have."""
    endpoint: Any = serverFromString(None, "utp:80:interface=192.0.2.1:freeBind=1")
    assert endpoint._socket == SocketSettings(free_bind=True)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("utp:80:dscp=64", r"^dscp='64': expected an integer from 0 to 63, or default, le, cs0 to cs7, af11 to af43"),
        ("utp:80:dscp=", r"^dscp='': expected an integer"),
        ("utp:80:dscp=low", r"^dscp='low': expected an integer"),
        ("utp:80:device=a/b", r"^device='a/b': expected the name of an interface, of at most 15 bytes"),
        ("utp:80:device=sixteen-letters.", r"^device='sixteen-letters.': expected the name of an interface"),
        ("utp:80:device=e th0", r"^device='e th0': expected"),
        ("utp:80:device=..", r"^device='\.\.': expected"),
        ("utp:80:freeBind=1", r"^freeBind=True: expected an interface as well"),
        ("utp:80:freeBind=yes", r"^freeBind='yes': expected 0 or 1"),
        ("utp:fd=0:dscp=le", r"^dscp='le': must be set by whoever binds the socket"),
        ("utp:fd=0:device=lo", r"^device='lo': must be set by whoever binds the socket"),
        ("utp:systemd=0:freeBind=1", r"^(freeBind='1': must be set by whoever binds|systemd='0': expected)"),
    ],
)
def test_wrong_servers(description: str, message: str) -> None:
    """It is a ValueError that names the setting."""
    with pytest.raises(ValueError, match=message):
        serverFromString(None, description)


@pytest.mark.parametrize("prefix", ["utp", "utps"])
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("dscp=af", r"^dscp='af': expected an integer"),
        ("device=very-long-name-of-one", r"^device='very-long-name-of-one': expected"),
        ("freeBind=1", r"^freeBind='1': is for servers"),
    ],
)
def test_wrong_clients(prefix: str, keys: str, message: str) -> None:
    """It is a ValueError that names the setting."""
    with pytest.raises(ValueError, match=message):
        clientFromString(None, f"{prefix}:host:80:{keys}")


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("dscp", 64, ValueError),
        ("dscp", -1, ValueError),
        ("dscp", "high", ValueError),
        ("dscp", 1.0, TypeError),
        ("dscp", True, TypeError),
        ("device", b"lo", TypeError),
        ("device", None, TypeError),
        ("device", "a\0b", ValueError),
        ("device", "e" * 16, ValueError),
    ],
)
def test_arguments(name: str, value: Any, error: type[Exception]) -> None:
    """Refused when an endpoint is made."""
    with pytest.raises(error, match=rf"^{name}=.*expected"):
        UTPServerEndpoint(None, 80, **{name: value})
    with pytest.raises(error, match=rf"^{name}=.*expected"):
        UTPClientEndpoint(None, "host", 80, **{name: value})


def test_free_bind_is_a_flag() -> None:
    """Nothing else."""
    with pytest.raises(TypeError, match=r"^freeBind=1: expected True or False"):
        UTPServerEndpoint(None, 80, interface="192.0.2.1", freeBind=1)  # type: ignore[arg-type]


@asynchronous
async def test_one_socket_has_one_mark() -> None:
    """Who listens with another is told so; who dials from there has it, and is told when he wants another."""
    port = await listen("utp:0:interface=127.0.0.1:dscp=le")
    number, other = port.getHost().port, await listen()
    assert mark(port.protocol) == 1 and mark(other.protocol) == 0
    for keys in ("", ":dscp=ef"):
        with pytest.raises(CannotListenError, match=r"dscp=\d+: expected 1, with which the UDP port is open"):
            await listen(f"utp:{number}:interface=127.0.0.1:sharePort=1{keys}")
    second = await listen(f"utp:{number}:interface=127.0.0.1:sharePort=1:dscp=1")
    assert second.protocol is port.protocol
    where = f"utp:127.0.0.1:{other.getHost().port}:bindAddress=127.0.0.1:bindPort={number}"
    for keys in ("", ":dscp=LE"):
        asking = await ask(where + keys)
        assert asking.transport._owner is port.protocol
        await hang_up(asking)
    with pytest.raises(ConnectBindError, match=r"dscp=0: expected 1"):
        await ask(f"{where}:dscp=default")
    for listening in (port, second, other):
        await listening.stopListening()


@asynchronous
async def test_dials_with_other_marks() -> None:
    """They leave from sockets of their own, as those with other settings do."""
    port = await listen()
    where = f"utp:127.0.0.1:{port.getHost().port}"
    asking = [await ask(where + keys) for keys in (":dscp=le", ":dscp=1", ":dscp=ef", "")]
    assert [mark(one.transport._owner) for one in asking] == [1, 1, 46, 0]
    assert len({one.transport.getHost().port for one in asking}) == 3
    await hang_up(*asking)
    await port.stopListening()


@asynchronous
async def test_listens_again() -> None:
    """With what it had."""
    port = await listen("utp:0:interface=127.0.0.1:dscp=le")
    await port.stopListening()
    port.startListening()
    assert mark(port.protocol) == 1
    await port.stopListening()


@linux
@asynchronous
async def test_no_such_device() -> None:
    """Listening and dialling fail as they do without an address."""
    with pytest.raises(CannotListenError, match="No such device"):
        await listen("utp:0:device=nosuch0")
    with pytest.raises(ConnectBindError, match="No such device"):
        await ask("utp:127.0.0.1:9:device=nosuch0")


@pytest.mark.parametrize("name", ["dscp", "device", "free_bind", "freeBind", "reuse_port"])
def test_what_is_running(machines: Any, name: str) -> None:
    """A port of anybody's, and a connection, say that it is not theirs to change."""
    port = machines.listen()
    client = machines.connect()
    for running in (port, port.protocol, client.transport, UTPProtocol(machines.client)):
        with pytest.raises(TypeError, match=rf"^{name}: belongs to the UDP socket, and is set by the endpoint"):
            running.change_settings(**{name: 1})


def test_no_sockets(machines: Any) -> None:
    """A network in memory has no marks: the setting is refused rather than forgotten."""
    error = machines.failure(serverFromString(machines.server, "utp:9000:dscp=le").listen(ECHO))
    assert isinstance(error, CannotListenError) and "dscp: " in str(error)
    error = machines.failure(clientFromString(machines.client, "utp:10.0.0.1:9:dscp=le").connect(ECHO))
    assert isinstance(error, ConnectBindError) and "dscp: " in str(error)
