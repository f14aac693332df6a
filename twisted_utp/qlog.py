"""
How does a connection's life become a file that others can read?

In qlog's form (draft-ietf-quic-qlog-main-schema, version 0.3) as a JSON text sequence (RFC 7464): a header, then one
record for each event.  What each event means stands in docs/qlog.rst.

A trace must never harm what it traces: what cannot be written ends the tracing, with one message in the log.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any

from twisted.logger import Logger

import twisted_utp
from twisted_utp.proto.values import Address

NAMESPACE = "utp"
EVENT_SCHEMA = "urn:twisted-utp:qlog:events:utp-1"
SUFFIX = ".sqlog"

RECORD_SEPARATOR = "\x1e"

# The core counts µs and bytes; qlog has ms and bits.
_TIMES = frozenset((
    "base_delay", "latest_rtt", "min_rtt", "one_way_delay", "queuing_delay", "rto", "rtt_variance", "smoothed_rtt",
    "target_delay",
))  # fmt: skip
_RATES = frozenset(("pacing_rate",))

# What waits in memory is written when it is this many characters, or µs, old.
_BUFFER = 64 * 1024
_MAX_AGE = 1_000_000

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_log = Logger()


def unix_epoch() -> int:
    """
    What added to the monotonic clock makes it the time of day, µs since 1970.
    """
    return (time.time_ns() - time.monotonic_ns()) // 1000


class QlogTracer:
    """
    A L{Tracer <twisted_utp.proto.trace.Tracer>} that writes a file for each connection.  One may serve any number of
    ports.  No file is kept open: what has gathered is appended now and then, so that a busy server does not run out
    of descriptors because it is being watched.

    @ivar directory: where the files are.
    """

    def __init__(self, directory: str | os.PathLike[str], *, epoch: Callable[[], int] = unix_epoch) -> None:
        """
        @param directory: made when the first connection starts, if it is missing.
        @param epoch: what is to be added to the core's C{now} for the time of day, in µs since 1970; asked as each
            connection starts.
        """
        # A daemon changes its working directory later.
        self.directory = os.path.abspath(directory)
        self._epoch = epoch
        self._files: dict[tuple[Address, int], _TraceFile] = {}
        self._has_failed = False

    def __call__(self, now: int, address: Address, connection_id: int, event: str, **data: Any) -> None:
        """
        See L{Tracer <twisted_utp.proto.trace.Tracer>}.  What belongs to no connection is counted by the port, and
        not written.
        """
        if self._has_failed:
            return
        try:
            self._note(now, (address, connection_id), event, data)
        except Exception as error:  # whatever it is, it is not the connection's fault
            self._stop(error)

    def close(self) -> None:
        """
        Write what has gathered, and forget the connections that are still open.  Those that start later are traced.
        """
        try:
            for file in self._files.values():
                file.end()
        except Exception as error:
            self._stop(error)
        self._files.clear()

    def _note(self, now: int, key: tuple[Address, int], event: str, data: dict[str, Any]) -> None:
        if event == "connection_started":
            self._files[key] = _TraceFile(self.directory, now, self._epoch(), key[1], data)
        file = self._files.get(key)
        if file is None:
            return
        file.add(now, event, data)
        if event == "connection_id_updated":
            del self._files[key]
            self._files[key[0], data["new"]] = file
        elif event == "connection_closed":
            del self._files[key]
            file.flush()

    def _stop(self, error: Exception) -> None:
        self._has_failed = True
        self._files.clear()
        _log.error("uTP: no more traces into {directory}: {error}", directory=self.directory, error=error)


class _TraceFile:
    """
    The trace of one connection.
    """

    def __init__(self, directory: str, now: int, epoch: int, connection_id: int, about: dict[str, Any]) -> None:
        self._started = self._written = self._latest = now
        self._metrics: dict[str, Any] = {}
        self._records: list[str] = []
        self._size = 0
        self._append(_header(epoch + now, connection_id, about))
        os.makedirs(directory, exist_ok=True)
        self._path = _create(os.path.join(directory, _file_name(epoch + now, connection_id, about)))
        self.flush()

    def add(self, now: int, event: str, data: dict[str, Any]) -> None:
        """
        Take an event down.
        """
        self._latest = now
        if event == "metrics_updated":
            before, self._metrics = self._metrics, data
            data = {name: value for name, value in data.items() if before.get(name) != value}
        data = {name: _convert(name, value) for name, value in data.items()}
        self._append({"time": (now - self._started) / 1000, "name": f"{NAMESPACE}:{event}", "data": data})
        if self._size >= _BUFFER or now - self._written >= _MAX_AGE:
            self._written = now
            self.flush()

    def end(self) -> None:
        """
        Nothing more will be heard of it.
        """
        self.add(self._latest, "connection_closed", {"reason": "trace_closed"})
        self.flush()

    def flush(self) -> None:
        """
        Write what has gathered.
        """
        records, self._records, self._size = self._records, [], 0
        if records:
            with open(self._path, "a", encoding="ascii", newline="\n") as file:
                file.write("".join(records))

    def _append(self, record: dict[str, Any]) -> None:
        text = f"{RECORD_SEPARATOR}{json.dumps(record, separators=(',', ':'))}\n"
        self._records.append(text)
        self._size += len(text)


def _convert(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return value / 1000
    return value * 8 if name in _RATES else value


def _header(started: int, connection_id: int, about: dict[str, Any]) -> dict[str, Any]:
    peer = f"{about['peer_host']}:{about['peer_port']}"
    return {
        "qlog_version": "0.3",
        "qlog_format": "JSON-SEQ",
        "title": f"uTP {about['role']} of {peer}",
        "trace": {
            "vantage_point": {"name": f"twisted_utp {twisted_utp.__version__}", "type": about["role"]},
            "event_schemas": [EVENT_SCHEMA],
            "common_fields": {
                "protocol_type": ["UTP"],
                "group_id": f"{peer}/{connection_id}",
                "time_format": "relative",
                "reference_time": started / 1000,
            },
        },
    }


def _file_name(started: int, connection_id: int, about: dict[str, Any]) -> str:
    at = _UNIX_EPOCH + timedelta(microseconds=started)
    # No colons of IPv6, which Windows does not take; no slashes of scope ids.
    host = re.sub(r"[^0-9A-Za-z.]+", "-", about["peer_host"])
    return f"{at:%Y%m%dT%H%M%S.%fZ}_{about['role']}_{host}_{about['peer_port']}_{connection_id}"


def _create(stem: str) -> str:
    """
    Make a file whose name nobody has taken.

    @return: its path.
    """
    for number in count(1):
        path = f"{stem}{SUFFIX}" if number == 1 else f"{stem}-{number}{SUFFIX}"
        try:
            with open(path, "x"):
                return path
        except FileExistsError:
            continue
    raise AssertionError("unreachable")


def read_records(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """
    The records of a trace, the header first.  The last one may be cut off, by a full disk or because it is still being
    written; what is not JSON is passed over, as RFC 7464 (2.1) wants.
    """
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            text = line.strip(f"{RECORD_SEPARATOR}\n ")
            try:
                record = json.loads(text) if text else None
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record
