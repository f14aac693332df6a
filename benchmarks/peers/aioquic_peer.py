"""
aioquic, the QUIC of the Python world, as a measured program; for its roles see C{benchmarks.contenders}.

One stream of one connection is what a uTP connection is compared with.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve as quic_serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent, StreamDataReceived
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.peers.account import Account, cpu_seconds, obey, report

HOST = "127.0.0.1"
CHUNK = bytes(64 * 1024)
AHEAD = 1024 * 1024  # bytes that the sender is ahead of what the connection has sent
WINDOW = 16 * 1024 * 1024
WARM_UP = 20
AT_ONCE = 10


def server_configuration(folder: Path) -> QuicConfiguration:
    """
    With a certificate made for the occasion.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(dated.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    no_password = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, no_password))
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["bench"], max_data=WINDOW)
    configuration.max_stream_data = WINDOW
    configuration.idle_timeout = 600
    configuration.load_cert_chain(certificate, private)
    return configuration


def client_configuration() -> QuicConfiguration:
    """
    It trusts anyone.
    """
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["bench"], verify_mode=ssl.CERT_NONE)
    configuration.max_data = configuration.max_stream_data = WINDOW
    configuration.idle_timeout = 600
    return configuration


class Server(QuicConnectionProtocol):
    """
    Counts, or sends back.
    """

    account: Account
    echoes: bool

    def quic_event_received(self, event: QuicEvent) -> None:
        """
        Something happened on the connection.
        """
        if isinstance(event, HandshakeCompleted):
            self.account.connections += 1
        elif isinstance(event, ConnectionTerminated):
            self.account.connections -= 1
        elif isinstance(event, StreamDataReceived):
            self.account.count(len(event.data))
            if self.echoes and event.data:
                self._quic.send_stream_data(event.stream_id, event.data)
                self.transmit()


async def serve(what: str, _nbytes: str = "0") -> None:
    """
    Take connections.
    """
    account = Account()

    def build(*arguments: Any, **keywords: Any) -> Server:
        server = Server(*arguments, **keywords)
        server.account, server.echoes = account, what == "echo"
        return server

    with tempfile.TemporaryDirectory() as folder:
        configuration = server_configuration(Path(folder))
    listening = await quic_serve(HOST, 0, configuration=configuration, create_protocol=build)
    assert listening._transport is not None
    sockname = listening._transport.get_extra_info("sockname")
    obey(account)
    report("listening", port=sockname[1])
    await asyncio.Event().wait()


class Client(QuicConnectionProtocol):
    """
    Calls C{got} with each piece of data.
    """

    got: Callable[[bytes], None] = staticmethod(lambda data: None)

    def quic_event_received(self, event: QuicEvent) -> None:
        """
        Something happened on the connection.
        """
        if isinstance(event, StreamDataReceived):
            self.got(event.data)


def dial(port: str) -> contextlib.AbstractAsyncContextManager[Any]:
    """
    One connection.
    """
    return connect(HOST, int(port), configuration=client_configuration(), create_protocol=Client)


async def bulk(port: str, nbytes: str, connections: str) -> None:
    """
    Send on one connection; the sender waits while much is unsent, because aioquic would buffer all of it.
    """
    obey(Account())
    async with dial(port) as client:
        began = time.monotonic(), cpu_seconds()
        stream_id, left = client._quic.get_next_available_stream_id(), int(nbytes)
        while left:
            chunk = CHUNK[:left]
            left -= len(chunk)
            client._quic.send_stream_data(stream_id, chunk, end_stream=not left)
            client.transmit()
            sender = client._quic._streams[stream_id].sender
            while sender._buffer_stop - sender._buffer_start > AHEAD:
                await asyncio.sleep(0.001)
        while not client._quic._streams[stream_id].sender.is_finished:
            await asyncio.sleep(0.005)
        report("done", cpu=cpu_seconds() - began[1], started=began[0])
        await asyncio.sleep(0.2)


async def ping(port: str, seconds: str) -> None:
    """
    Count round trips, after a few to warm up.
    """
    obey(Account())
    async with dial(port) as client:
        stream_id = client._quic.get_next_available_stream_id()
        back = asyncio.get_running_loop().create_future()
        state = {"count": -WARM_UP, "began": 0.0, "cpu": 0.0}

        def send() -> None:
            client._quic.send_stream_data(stream_id, b"x")
            client.transmit()

        def got(data: bytes) -> None:
            state["count"] += 1
            now = time.monotonic()
            if state["count"] == 0:
                state.update(began=now, cpu=cpu_seconds())
            if state["count"] > 0 and now > state["began"] + float(seconds) and not back.done():
                back.set_result(now)
            else:
                send()

        client.got = got
        send()
        used = await back - state["began"]
        report("done", count=state["count"], seconds=used, cpu=cpu_seconds() - state["cpu"])


async def churn(port: str, count: str, at_once: str) -> None:
    """
    Connect, send one byte, close.  QUIC's time of grace after that goes on in the background.
    """
    obey(Account())
    left = iter(range(int(count)))
    began = time.monotonic(), cpu_seconds()
    closing: set[asyncio.Task[object]] = set()

    async def one_after_the_other() -> None:
        for _ in left:
            connecting = dial(port)
            client = await connecting.__aenter__()
            client._quic.send_stream_data(client._quic.get_next_available_stream_id(), b"x", end_stream=True)
            client.transmit()
            closing.add(asyncio.create_task(_leave(connecting)))

    await asyncio.gather(*(one_after_the_other() for _ in range(int(at_once))))
    report("done", count=int(count), seconds=time.monotonic() - began[0], cpu=cpu_seconds() - began[1])


async def _leave(connecting: contextlib.AbstractAsyncContextManager[Any]) -> None:
    await connecting.__aexit__(None, None, None)


async def idle(port: str) -> None:
    """
    Open as many connections as the line C{open N} says, and keep them.
    """
    account, loop, kept = Account(), asyncio.get_running_loop(), contextlib.AsyncExitStack()
    dialling: set[asyncio.Task[None]] = set()

    async def open_more(count: int) -> None:
        for start in range(0, count, AT_ONCE):
            entering = [kept.enter_async_context(dial(port)) for _ in range(min(AT_ONCE, count - start))]
            await asyncio.gather(*entering)
        account.connections += count
        report("opened")

    def told(line: str) -> None:
        loop.call_soon_threadsafe(lambda: dialling.add(loop.create_task(open_more(int(line.split()[1])))))

    obey(account, told)
    report("ready")
    await asyncio.Event().wait()


ROLES: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    "serve": serve,
    "bulk": bulk,
    "ping": ping,
    "churn": churn,
    "idle": idle,
}


async def play(words: Sequence[str]) -> None:
    """
    Play the role, and wait for the end of the input.
    """
    role, *arguments = words
    await ROLES[role](*arguments)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(play(sys.argv[1:]))
