"""
Writes a connection's events to a file that other tools can read.

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
from typing import Any

from twisted.logger import Logger

import twisted_utp
from twisted_utp._trace_files import (
    SUFFIX,
    TraceDirectory,
    TraceFile,
    TraceLimitReached,
    TraceReplaced,
    trace_directory,
)
from twisted_utp.proto.states import State
from twisted_utp.proto.values import Address

__all__ = ["EVENT_SCHEMA", "NAMESPACE", "RECORD_SEPARATOR", "SUFFIX", "QlogTracer", "read_records", "unix_epoch"]

NAMESPACE = "utp"
EVENT_SCHEMA = "urn:twisted-utp:qlog:events:utp-1"
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

# Records of a peer that has not proved its address: it has no file.  It may repeat its SYN as often as it likes.
_MAX_UNPROVEN = 16

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

    A connection that a stranger has opened has a file once he has proved his address, and not before.

    @ivar directory: where the files are.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        epoch: Callable[[], int] = unix_epoch,
        max_files: int | None = None,
        max_bytes: int | None = None,
    ) -> None:
        """
        @param directory: made when the first connection starts, if it is missing, for nobody else to read.
        @param epoch: what is to be added to the core's C{now} for the time of day, in µs since 1970; asked as each
            connection starts.
        @param max_files: traces that the directory may have, those that are there already included.  Without it
            the environment variable C{TWISTED_UTP_TRACE_FILES} decides, or 10,000.
        @param max_bytes: likewise the bytes that they have together: C{TWISTED_UTP_TRACE_BYTES}, or 2^30.
        @raise ValueError: when a limit is less than 1.
        @raise TypeError: when the directory is no path, or a limit no integer.
        """
        if not isinstance(directory, (str, os.PathLike)):
            raise TypeError(f"directory={directory!r}: expected the name of a directory")
        # A daemon changes its working directory later.
        self.directory = os.path.abspath(directory)
        self._epoch = epoch
        self._place = trace_directory(self.directory, max_files, max_bytes)
        self._files: dict[tuple[Address, int], _Trace] = {}
        self._has_failed = False

    def __call__(self, now: int, address: Address, connection_id: int, event: str, **data: Any) -> None:
        """
        See L{Tracer <twisted_utp.proto.trace.Tracer>}.  What belongs to no connection is counted by the port, and
        not written.
        """
        if self._has_failed:
            return
        key = address, connection_id
        try:
            self._note(now, key, event, data)
        except TraceLimitReached:
            self._files.pop(key, None)
        except TraceReplaced as error:
            self._files.pop(key, None)
            _log.warn("uTP: a trace was removed or replaced while it was written: {path}", path=str(error))
        except Exception as error:  # whatever it is, it is not the connection's fault
            self._stop(error)

    def close(self) -> None:
        """
        Write what has gathered, and forget the connections that are still open.  Those that start later are traced.
        """
        for file in self._files.values():
            try:
                file.end()
            except (TraceLimitReached, TraceReplaced):
                continue
            except Exception as error:
                self._stop(error)
                break
        self._files.clear()

    def _note(self, now: int, key: tuple[Address, int], event: str, data: dict[str, Any]) -> None:
        if event == "connection_started":
            self._files[key] = _Trace(self._place, now, self._epoch(), key[1], data)
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
        _log.error("uTP: stopped writing traces to {directory}: {error}", directory=self.directory, error=error)


class _Trace:
    """
    The trace of one connection.
    """

    def __init__(self, place: TraceDirectory, now: int, epoch: int, connection_id: int, about: dict[str, Any]) -> None:
        self._started = self._written = self._latest = now
        self._metrics: dict[str, Any] = {}
        self._records: list[str] = []
        self._size = 0
        self._append(_header(epoch + now, connection_id, about))
        self._place = place
        self._name = _file_name(epoch + now, connection_id, about)
        self._file: TraceFile | None = None
        self._is_proven = about["state"] != State.SYN_RECEIVED.name
        self.flush()

    def add(self, now: int, event: str, data: dict[str, Any]) -> None:
        """
        Take an event down.
        """
        self._latest = now
        if not self._is_proven:
            # Confirmed is who leaves SYN_RECEIVED for anything but the end.
            self._is_proven = event == "state_updated" and data["new"] != State.CLOSED.name
            if not self._is_proven and len(self._records) >= _MAX_UNPROVEN:
                return
        if event == "metrics_updated":
            before, self._metrics = self._metrics, data
            data = {name: value for name, value in data.items() if before.get(name) != value}
        data = {name: _convert(name, value) for name, value in data.items()}
        self._append({"time": (now - self._started) / 1000, "name": f"{NAMESPACE}:{event}", "data": data})
        if self._file is None or self._size >= _BUFFER or now - self._written >= _MAX_AGE:
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
        if not self._is_proven:
            return
        if self._file is None:
            self._file = TraceFile(self._place, self._name)
        records, self._records, self._size = self._records, [], 0
        if records:
            self._file.append("".join(records))

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
