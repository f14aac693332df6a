"""
Does any network deliver exactly what was written, within bounded memory?

Networks are drawn at random: rate, round trip, queue and its kind, loss alone and in bursts, jitter, reordering,
duplication, the MTU, outages, a change of rate.  Examples are derandomized: the same ones in each run.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.congestion.base import congestion_controller_names
from twisted_utp.proto.events import LossReason
from twisted_utp.testing import TO_CLIENT, TO_SERVER, Pair
from twisted_utp.testing.jitter import UniformJitter
from twisted_utp.testing.loss import GilbertElliott, RandomLoss
from twisted_utp.testing.queues import RED, CoDel, DropTail, Queue

RECEIVE_BUFFER = 32 * 1024
SEND_BUFFER = 16 * 1024
WRITE = 65_536  # what a Transfer writes at once while the buffer has any room


@st.composite
def links(draw: Any) -> dict[str, Any]:
    """One direction of a path, bad but not hopeless."""
    milliseconds = draw(st.sampled_from([5, 50, 500]))
    queue: Queue = draw(
        st.sampled_from(
            [
                lambda: DropTail(milliseconds=milliseconds),
                CoDel,
                lambda: RED(nbytes=30_000),
            ]
        )
    )()
    return {
        "rate": draw(st.sampled_from([256_000, 2_000_000, 50_000_000, None])),
        "delay": draw(st.integers(100, 300_000)),
        "queue": queue,
        "loss": draw(st.sampled_from([None, RandomLoss(0.01), RandomLoss(0.2), GilbertElliott(0.02, 0.3)])),
        "jitter": draw(st.sampled_from([None, UniformJitter(1_000), UniformJitter(30_000)])),
        "reorder": draw(st.sampled_from([0.0, 0.1])),
        "reorder_delay": 20_000,
        "duplicate": draw(st.sampled_from([0.0, 0.1])),
        "mtu": draw(st.sampled_from([None, 576, 900, 1400])),
    }


def assert_bounded(pair: Pair) -> None:
    """Both ends hold no more than they were configured to."""
    for node in (pair.client, pair.server):
        for record in node.records:
            receiver, sender = record.connection.receiver, record.connection.sender
            assert receiver.unread_bytes + receiver._ahead_bytes <= RECEIVE_BUFFER
            assert sender.buffer.nbytes <= SEND_BUFFER + WRITE
            # No more leaves than the peer's window takes, but for a probe of it; 64 KiB before it was ever told.
            assert sender.board.outstanding_bytes <= 65_536 + 1500


@settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    up=links(),
    down=links(),
    seed=st.integers(0, 1 << 32),
    controller=st.sampled_from(congestion_controller_names()),
    gro=st.booleans(),
    sizes=st.tuples(st.integers(1, 150_000), st.integers(1, 60_000)),
    outage=st.tuples(st.integers(1, 3_000_000), st.integers(0, 1_500_000)),
    new_rate=st.sampled_from([None, 500_000, 20_000_000]),
)
def test_random_networks(
    up: dict[str, Any],
    down: dict[str, Any],
    seed: int,
    controller: str,
    gro: bool,
    sizes: tuple[int, int],
    outage: tuple[int, int],
    new_rate: int | None,
) -> None:
    """Both directions at once; every byte is compared as it comes out, and the buffers are looked at all the time."""
    config = UTPConfig(congestion=controller, receive_buffer=RECEIVE_BUFFER, send_buffer=SEND_BUFFER, user_timeout=300)
    pair = Pair(seed=seed, up=up, down=down, config=config, gro=gro, log=False)
    ends = pair.connect(limit=120)
    transfers = [
        pair.start_transfer(ends, sizes[0], direction=TO_SERVER, seed=seed),
        pair.start_transfer(ends, sizes[1], direction=TO_CLIENT, seed=seed + 1),
    ]
    pair.up.down_at(pair.now + outage[0], outage[1])
    if new_rate is not None:
        pair.up.set_rate_at(pair.now + outage[0], new_rate)

    def done() -> bool:
        assert_bounded(pair)
        return all(transfer.done for transfer in transfers)

    pair.drive(done, limit=1200)
    assert [transfer.received for transfer in transfers] == list(sizes)
    pair.client.close(ends.client)
    pair.server.close(ends.server)
    pair.drive(lambda: ends.client.lost is not None and ends.server.lost is not None, limit=600)
    assert ends.client.reason is LossReason.DONE or ends.server.reason is LossReason.DONE
