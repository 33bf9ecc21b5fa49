"""What a hash that a report prints stands for: a protocol, a training, or the scores of a cell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from hashbench.characters import briefly, counted
from hashbench.errors import UsageError
from hashbench.results.cell import CellResult
from hashbench.results.results import Results

LEAST: Final = 4
"""Digits of a hash that may name one."""

MOST_NAMED: Final = 10
"""How many hashes a message lists."""

_DIGITS: Final = re.compile(rf"[0-9a-f]{{{LEAST},64}}")
_SHORT: Final = 8


@dataclass(frozen=True)
class Named:
    """What a hash stands for.

    Attributes:
        kind: `protocol`, `training` or `scores`.
        hash: all of its digits.
        facts: what it is of, plain data by name.
        cells: how many cells of the results have it.
    """

    kind: str
    hash: str
    facts: Mapping[str, Any]
    cells: int


def named_by(results: Results, text: str) -> Named:
    """What the first digits of a hash stand for.

    Args:
        results: those that the report is of.
        text: hexadecimal digits, as many as a report prints, or more; upper case and `...` behind
            them do no harm.

    Raises:
        UsageError: they are no digits of a hash, nothing has that hash, or several things have one
            that begins so.
    """
    digits = text.strip().lower().rstrip(".\N{HORIZONTAL ELLIPSIS}")
    if not _DIGITS.fullmatch(digits):
        raise UsageError(
            f"'{briefly(text)}' is no hash: expected {LEAST} to 64 of the digits 0-9 and a-f, as a "
            "report prints them behind 'Protocol' or 'Training'"
        )
    known = list(_known(results))
    found = [one for one in known if one.hash.startswith(digits)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"'{digits}' begins {counted(len(found), 'hash', 'hashes')}: {_list(found)}"
        )
    told = [one for one in known if one.kind != "scores"]
    scores = len(known) - len(told)
    keys = f"; and the keys of {counted(scores, 'cell')}" if scores else ""
    raise UsageError(f"no hash of these results begins with '{digits}'; known: {_list(told)}{keys}")


def _list(found: list[Named]) -> str:
    words = [f"{one.kind} {one.hash[:_SHORT]}" for one in found]
    # Those that these digits do not part are named by more of them.
    if len(set(words)) < len(words):
        words = [f"{one.kind} {one.hash[:20]}" for one in found]
    rest = f", and {len(words) - MOST_NAMED:,} more" if len(words) > MOST_NAMED else ""
    return f"{', '.join(words[:MOST_NAMED])}{rest}"


def _known(results: Results) -> Iterator[Named]:
    for key, protocol in sorted(results.protocols.items()):
        count = sum(one.cell.protocol == key for one in results.cells)
        yield Named("protocol", key, protocol.to_plain(), count)
    for key, training in sorted(results.trainings.items()):
        count = sum(one.cell.training == key for one in results.cells)
        yield Named("training", key, training, count)
    by_key: dict[str, list[CellResult]] = {}
    for result in results.cells:
        if result.provenance is not None and result.provenance.key:
            by_key.setdefault(result.provenance.key, []).append(result)
    for key, cells in sorted(by_key.items()):
        yield Named("scores", key, _of_cell(cells[0]), len(cells))


def _of_cell(result: CellResult) -> dict[str, Any]:
    origin = result.provenance
    facts: dict[str, Any] = {**asdict(result.cell), "status": result.status.words}
    facts["metrics"] = dict(sorted(result.metrics.items()))
    if origin is not None:
        facts |= {"folder": origin.folder, "made": origin.made or "not recorded"}
        facts["environment"] = dict(sorted(origin.environment.items()))
        facts["plugins"] = dict(sorted(origin.plugins.items()))
    return facts
