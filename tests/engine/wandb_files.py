"""Reads what wandb keeps on disk of a run without network: its own records, from its own file."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def _records(data: bytes) -> Iterator[bytes]:
    """Records of a wandb file: a LevelDB log of 32 KiB blocks behind a header of 7 bytes."""
    place, record = 7, b""
    while place + 7 <= len(data):
        room = 32768 - place % 32768
        if room < 7:
            place += room
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        if not kind:
            break
        record += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            yield record
            record = b""


def _items(items: Any) -> dict[str, Any]:
    """Values by key; a value of several parts comes as one item per part."""
    found: dict[str, Any] = {}
    for item in items:
        *outer, last = list(item.nested_key) or [item.key]
        place = found
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return found


class OfflineRun:
    """A finished run: what was recorded of it, by kind.

    Parameters
    ----------
    path : Path
        Its ``.wandb`` file; wandb's own process writes the last records a moment after the run has ended.
    """

    def __init__(self, path: Path):
        protocol = pytest.importorskip("wandb.proto.wandb_internal_pb2")
        for _ in range(300):
            records = [protocol.Record.FromString(data) for data in _records(path.read_bytes())]
            # Statistics of the machine may come after the end.
            if any(record.WhichOneof("record_type") == "exit" for record in records):
                break
            time.sleep(0.1)
        else:
            raise AssertionError("wandb has not written the end of the run")
        kinds: dict[str, list[Any]] = {}
        for record in records:
            kind = record.WhichOneof("record_type")
            kinds.setdefault(kind, []).append(getattr(record, kind))
        self.files = path.parent / "files"
        self.run = kinds["run"][0]
        self.rows = [_items(row.item) for row in kinds["history"]]
        self.config = {}
        for change in (self.run.config, *kinds.get("config", [])):
            self.config |= _items(change.update)
        self.summary = {}
        for change in kinds.get("summary", []):
            self.summary |= _items(change.update)
        self.metrics = {(m.name or m.glob_name): m for m in kinds.get("metric", [])}
        self.exit_code = kinds["exit"][-1].exit_code

    def column(self, key: str) -> list[Any]:
        """All logged values of a key, in order."""
        return [row[key] for row in self.rows if key in row]
