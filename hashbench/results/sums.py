"""The sum of a record: plans and records of artifacts carry it, so that damage is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from hashbench.characters import shortened
from hashbench.errors import FileError

SCHEMA: Final = 3
"""The format of plans, records and notes; see `hashbench.results.migrations` for older ones."""

_SUM: Final = "sha256"

_PIECE: Final = 1_000
"""Items of a list that become text together."""


class NewerError(FileError):
    """A record was written by a newer hashbench."""


class Summed(Enum):
    """From which format on a record always carries its sum."""

    PLAN = 1
    ARTIFACT = 3
    NEVER = SCHEMA + 1  # notes of failures


def sum_of(record: Mapping[str, Any]) -> str:
    """SHA-256 of a record's JSON with sorted keys, without the sum itself."""
    bare = {key: value for key, value in record.items() if key != _SUM}
    digest = hashlib.sha256()
    for piece in json_pieces(bare):
        digest.update(piece)
    return digest.hexdigest()


def json_pieces(record: Mapping[str, Any], *, compact: bool = False) -> Iterator[bytes]:
    """The JSON of a record with sorted keys, in pieces: that of a large plan is never one text.

    Joined they are what `json.dumps(record, sort_keys=True)` gives.

    Args:
        record: plain data.
        compact: without spaces.
    """
    comma, colon = (",", ":") if compact else (", ", ": ")
    encode = json.JSONEncoder(sort_keys=True, separators=(comma, colon)).encode
    # A key that is no text sorts and is written as `json` does it.
    if not all(isinstance(key, str) for key in record):
        yield encode(dict(record)).encode()
        return
    yield b"{"
    for place, key in enumerate(sorted(record)):
        yield f"{comma if place else ''}{encode(key)}{colon}".encode()
        value = record[key]
        if not isinstance(value, list | tuple):
            yield encode(value).encode()
            continue
        yield b"["
        for start in range(0, len(value), _PIECE):
            part = encode(value[start : start + _PIECE])
            yield f"{comma if start else ''}{part[1:-1]}".encode()
        yield b"]"
    yield b"}"


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its sum."""
    return {**record, _SUM: sum_of(record)}


def checked_record(value: Any, summed: Summed) -> dict[str, Any]:
    """What a JSON file holds, as a record.

    Args:
        value: any JSON data.
        summed: from which format on it has to carry its sum. One that is there is compared.

    Raises:
        NewerError: a newer hashbench wrote it.
        FileError: it is no record, or damaged.
    """
    if not isinstance(value, dict):
        raise FileError("it is no table")
    schema = value.get("schema")
    if type(schema) is not int or schema < 1:
        raise FileError("it does not say its format")
    if schema > SCHEMA:
        raise NewerError(
            f"written in format {shortened(str(schema))}, "
            f"this hashbench reads up to {SCHEMA}: update it"
        )
    if summed is Summed.NEVER or (schema < summed.value and _SUM not in value):
        return value
    try:
        if value.get(_SUM) != sum_of(value):
            raise FileError("its content is not what its sum says it was")
    except RecursionError:
        raise FileError("its lists or tables are nested too deep") from None
    return value
