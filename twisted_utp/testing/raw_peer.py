"""
A peer that sends exactly the bytes that a test gives it.

A L{RawPeer} is a peer with no behaviour of its own: each packet is sent because the test says so, as odd as the
test wants it, and each answer is there to be looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.values import Address
from twisted_utp.testing.clock import HostClock
from twisted_utp.testing.link import Link
from twisted_utp.testing.network import Host, Network
from twisted_utp.testing.node import Node, Record
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.simulator import MILLISECOND, SECOND, Simulator
from twisted_utp.testing.wire import DATA, FIN, RESET, STATE, SYN, TYPE_NAMES, Header, decode_or_none, encode

Extensions = Sequence[tuple[int, bytes]]

WINDOW = 1024 * 1024
SEQ_MASK = 0xFFFF
TIMESTAMP_MASK = 0xFFFFFFFF
NODE_PORT = 9000
PEER_PORT = 7000


class RawPeer:
    """
    A scripted peer of one L{Node}.

    @ivar node: whom it talks to.
    @ivar seq_nr: of the next packet that consumes one.
    @ivar ack_nr: what it acknowledges: set by L{expect} to the last packet in order; assign to it for oddities.
    @ivar send_id: the connection id that it sends with.
    @ivar recv_id: the connection id that it expects.
    @ivar wnd_size: the window that it advertises, bytes.
    @ivar received: everything that arrived and was not yet expected.
    @ivar all: everything that ever arrived, with times.
    """

    def __init__(self, host: Host, node: Node, *, port: int = PEER_PORT) -> None:
        self.node = node
        self.simulator = host.network.simulator
        self.port = host.bind(self._receive, port)
        self.seq_nr = 1000
        self.ack_nr = 0
        self.send_id = 0
        self.recv_id = 0
        self.wnd_size = WINDOW
        self.timestamp_difference = 0
        self.received: list[Header] = []
        self.all: list[tuple[int, Header]] = []
        self.acknowledges = False

    @classmethod
    def facing(
        cls,
        *,
        config: UTPConfig | None = None,
        accepting: bool = True,
        delay: int = 10 * MILLISECOND,
        seed: int = 0,
        clock_offset: int = 0,
        **node_settings: Any,
    ) -> RawPeer:
        """
        A peer and a node on two hosts with a perfect link of C{delay} µs in each direction.

        @param clock_offset: µs by which the node's clock is ahead of the peer's.
        @param node_settings: see L{Node}.
        """
        simulator = Simulator(seed)
        network = Network(simulator)
        near = network.add_host("10.0.0.1")
        far = network.add_host("10.0.0.2", clock=HostClock(simulator, offset=clock_offset))
        network.join(near, far, there=[Link(simulator, delay=delay)], back=[Link(simulator, delay=delay)])
        node = Node(far, NODE_PORT, config=config, accepting=accepting, **node_settings)
        return cls(near, node)

    @property
    def address(self) -> Address:
        """
        Where it is.
        """
        return self.port.address

    @property
    def record(self) -> Record:
        """
        The node's last connection.
        """
        return self.node.records[-1]

    # --- Sending ----------------------------------------------------------------------------------------------

    def send(self, kind: int, payload: bytes = b"", *, extensions: Extensions = (), **fields: Any) -> Header:
        """
        Send one packet of any type.  It consumes no sequence number.

        @param extensions: C{(type, body)} pairs.
        @param fields: fields of the header that differ from what this peer would say.
        @return: the packet.
        """
        known: dict[str, Any] = {
            "connection_id": self.send_id,
            "timestamp": self.simulator.now & TIMESTAMP_MASK,
            "timestamp_difference": self.timestamp_difference,
            "wnd_size": self.wnd_size,
            "seq_nr": self.seq_nr & SEQ_MASK,
            "ack_nr": self.ack_nr & SEQ_MASK,
        }
        header = Header(kind, extensions=tuple(extensions), payload=payload, **{**known, **fields})
        self.send_bytes(encode(header))
        return header

    def send_bytes(self, data: bytes) -> None:
        """
        Send any bytes.
        """
        self.port.send(data, self.node.address)

    def syn(self, connection_id: int = 500, *, extensions: Extensions = (), **fields: Any) -> Header:
        """
        Send SYN, which sets both connection ids, and consumes a sequence number.
        """
        self.recv_id = connection_id & SEQ_MASK
        self.send_id = (connection_id + 1) & SEQ_MASK
        fields.setdefault("connection_id", self.recv_id)
        header = self.send(SYN, extensions=extensions, **fields)
        self.seq_nr = header.seq_nr + 1
        return header

    def state(self, *, extensions: Extensions = (), payload: bytes = b"", **fields: Any) -> Header:
        """
        Send STATE with the next sequence number, unconsumed.
        """
        return self.send(STATE, payload, extensions=extensions, **fields)

    def data(self, payload: bytes = b"x", *, extensions: Extensions = (), **fields: Any) -> Header:
        """
        Send DATA.  Unless C{seq_nr} is given it takes, and consumes, the next sequence number.
        """
        return self._consuming(DATA, payload, extensions, fields)

    def fin(self, *, extensions: Extensions = (), payload: bytes = b"", **fields: Any) -> Header:
        """
        Send FIN.  Unless C{seq_nr} is given it takes, and consumes, the next sequence number.
        """
        return self._consuming(FIN, payload, extensions, fields)

    def reset(self, *, extensions: Extensions = (), **fields: Any) -> Header:
        """
        Send RESET.
        """
        return self.send(RESET, extensions=extensions, **fields)

    def _consuming(self, kind: int, payload: bytes, extensions: Extensions, fields: dict[str, Any]) -> Header:
        header = self.send(kind, payload, extensions=extensions, **fields)
        if "seq_nr" not in fields:
            self.seq_nr += 1
        return header

    # --- Receiving --------------------------------------------------------------------------------------------

    def expect(self, kind: int, *, within: float = 5.0) -> Header:
        """
        The next packet, which must be of that type.  DATA and FIN in order move C{ack_nr}.

        @param within: seconds of virtual time to wait for it.
        @raise AssertionError: when another comes, or none.
        """
        header = self.next(within=within)
        assert header is not None, f"expected {TYPE_NAMES[kind]}, nothing came in {within} s;\n{self.story()}"
        assert header.type == kind, f"expected {TYPE_NAMES[kind]}, got {header};\n{self.story()}"
        return header

    def expect_until(self, kind: int, *, within: float = 5.0) -> Header:
        """
        The next packet of that type; others before it are passed over.
        """
        end = self.simulator.now + round(within * SECOND)
        while (header := self.next(within=max(0, end - self.simulator.now) / SECOND)) is not None:
            if header.type == kind:
                return header
        raise AssertionError(f"expected {TYPE_NAMES[kind]} within {within} s;\n{self.story()}")

    def expect_nothing(self, *, within: float = 1.0) -> None:
        """
        @raise AssertionError: when a packet comes within that many seconds.
        """
        header = self.next(within=within)
        assert header is None, f"expected nothing, got {header};\n{self.story()}"

    def next(self, *, within: float = 5.0) -> Header | None:
        """
        The next packet, L{None} when there is none within that many seconds.
        """
        end = self.simulator.now + round(within * SECOND)
        while not self.received:
            due = self.simulator.next_time()
            if due is None or due > end:
                self.simulator.run_until(end)
                return None
            self.simulator.step()
        header = self.received.pop(0)
        if not self.acknowledges:
            self._note_order(header)
        return header

    def drain(self, *, within: float = 0.2) -> list[Header]:
        """
        All packets that come within that many seconds.
        """
        self.run_for(within)
        taken, self.received = self.received, []
        for header in taken:
            self._note_order(header)
        return taken

    def run_for(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.simulator.run_for(round(seconds * SECOND))

    def story(self) -> str:
        """
        Everything that arrived, for an assertion's message.
        """
        return "\n".join(f"{time:>13} {header}" for time, header in self.all)

    def _note_order(self, header: Header) -> None:
        if header.type in (DATA, FIN) and header.seq_nr == (self.ack_nr + 1) & SEQ_MASK:
            self.ack_nr = header.seq_nr

    def _receive(self, packets: list[Packet]) -> None:
        for packet in packets:
            header = decode_or_none(packet.data)
            assert header is not None, f"not uTP: {packet.data[:40].hex()}"
            self.all.append((self.simulator.now, header))
            self.timestamp_difference = (self.simulator.now - header.timestamp) & TIMESTAMP_MASK
            self.received.append(header)
            if self.acknowledges and header.type in (DATA, FIN):
                self._note_order(header)
                self.state()

    # --- Handshakes -------------------------------------------------------------------------------------------

    def handshake(self, connection_id: int = 500, *, wnd_size: int = WINDOW, **fields: Any) -> Header:
        """
        Connect to the node: SYN, expect STATE, and prove our address with a STATE.

        @return: the SYN-ACK.
        """
        self.wnd_size = wnd_size
        self.syn(connection_id, **fields)
        answer = self.expect(STATE)
        self.ack_nr = answer.seq_nr - 1 & SEQ_MASK
        self.state()
        self.run_for(0.1)
        return answer

    def accept(self, *, seq_nr: int = 2000, **fields: Any) -> Header:
        """
        Let the node connect to this peer, and answer its SYN with a STATE.

        @return: the SYN.
        """
        self.node.connect(self.address)
        syn = self.expect(SYN)
        self.answer_syn(syn, seq_nr=seq_nr, **fields)
        self.run_for(0.1)
        return syn

    def answer_syn(self, syn: Header, *, seq_nr: int = 2000, kind: int = STATE, **fields: Any) -> Header:
        """
        Take the acceptor's side of C{syn} and send the SYN-ACK, or another kind of packet in its place.
        """
        self.send_id = syn.connection_id
        self.recv_id = (syn.connection_id + 1) & SEQ_MASK
        self.seq_nr, self.ack_nr = seq_nr, syn.seq_nr
        return self.send(kind, **fields)
