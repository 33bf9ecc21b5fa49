"""The sum of a record: plans and records of artifacts carry it, so that damage is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from hashbench.characters import shortened
from hashbench.errors import FileError

SCHEMA: Final = 3
"""The format of plans, records and notes; see `hashbench.results.migrations` for older ones."""

_SUM: Final = "sha256"


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
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()


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
