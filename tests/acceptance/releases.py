"""The file of the embedded runtime as another release leaves it: as text, so that a test can put it into a data directory."""

from __future__ import annotations

import copy
import json
import re
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Tables = dict[str, Any]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_TEXTS = ("value", "body")  #: of bytes that are JSON
_MOMENTS = {"messages": ("due", "enqueued", "expires"), "state": ("expires",)}


def read(data_dir: Path) -> Tables:
    """What is in the file of a bridge that does not run. Bodies and values are texts of JSON."""
    with closing(sqlite3.connect(data_dir / "bridge.db")) as database:
        database.row_factory = sqlite3.Row
        schema = [row["sql"] for row in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name")]
        names = [row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'")]
        rows = {name: [_plain(dict(row)) for row in database.execute(f"SELECT * FROM {name}")] for name in names}  # noqa: S608
        (version,) = database.execute("PRAGMA user_version").fetchone()
    return {"version": version, "schema": schema, "rows": rows}


def write(data_dir: Path, tables: Tables) -> None:
    """Make the file of a bridge that has never run there."""
    data_dir.mkdir(parents=True, exist_ok=True)
    for name in ("bridge.db", "bridge.db-wal", "bridge.db-shm"):
        (data_dir / name).unlink(missing_ok=True)
    with closing(sqlite3.connect(data_dir / "bridge.db")) as database:
        for statement in (each for each in tables["schema"] if "sqlite_" not in each):
            database.execute(statement)
        for name, rows in tables["rows"].items():
            for row in rows:
                stored = {key: value.encode() if key in _TEXTS else value for key, value in row.items()}
                marks = ",".join("?" * len(stored))
                database.execute(f"INSERT INTO {name}({','.join(stored)}) VALUES({marks})", list(stored.values()))
        database.execute(f"PRAGMA user_version={int(tables['version'])}")
        database.commit()


def moved(tables: Tables, to: datetime) -> Tables:
    """The same, as if its newest message had been sent at that time: deadlines are as far away as they were."""
    newest = max(row["enqueued"] for row in tables["rows"]["messages"])
    by = to.timestamp() - newest
    text = _TIME.sub(lambda found: _written(datetime.fromisoformat(found[0]) + timedelta(seconds=by)), json.dumps(tables))
    found: Tables = json.loads(text)
    for name, moments in _MOMENTS.items():
        for row in found["rows"][name]:
            row.update({key: row[key] + by for key in moments if row.get(key) is not None})
    return found


def rewritten(tables: Tables, change: Callable[[str, Any], Any]) -> Tables:
    """The same with other records and messages; `change` is given the key, or the source of a message, and the JSON."""
    found = copy.deepcopy(tables)
    for row in found["rows"]["state"]:
        row["value"] = json.dumps(change(row["key"], json.loads(row["value"])))
        opening, count, *checksum = row["etag"].split(".")
        row["etag"] = ".".join([opening, count, *(f"{zlib.crc32(row['value'].encode()):x}" for _ in checksum)])
    for row in found["rows"]["messages"]:
        row["body"] = json.dumps(change(row["source"], json.loads(row["body"])))
    return found


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value.decode() if key in _TEXTS else value for key, value in row.items()}


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
