"""Report as JSON lines: every cell, and every row of a ranking, for programs. Strict JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any, ClassVar, Final

from typing_extensions import override

from hashbench.plugins import Format, report_format
from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Row
from hashbench.reports.text import reproduce
from hashbench.results.cell import WORST_CASE, CellResult
from hashbench.results.intervals import Interval
from hashbench.results.matches.results import MatchResult, MatchResults
from hashbench.results.provenance import Provenance
from hashbench.results.results import Results

VERSION: Final = 1
"""Of what the lines hold: a field that is added keeps it, one that changes its meaning does not."""


@report_format("jsonl")
@dataclass(frozen=True)
class JsonLines(Format):
    """One JSON object a line: a header, then cells, worst cases and the rows of the rankings.

    `type` says what a line is: `header` (first, once), `cell`, `worst-case`, `conflict` (of folders
    that say different things of one cell), `row` of a ranking, `match` of a fixed hash.
    Values are exact, shares in `[0, 1]`; what is not a number is `null`.
    """

    suffix: ClassVar[str] = ".jsonl"

    @override
    def render(self, results: Results, *, width: int | None = None) -> str:
        return "".join(f"{_line(one)}\n" for one in _objects(results))

    @override
    def render_matches(self, matches: MatchResults, *, width: int | None = None) -> str:
        return "".join(f"{_line(one)}\n" for one in _match_objects(matches))


def _line(one: Mapping[str, Any]) -> str:
    return json.dumps(_strict(one), allow_nan=False, ensure_ascii=True)


def _strict(value: Any) -> Any:
    """Plain data without what JSON has no word for; tables keep their order."""
    if isinstance(value, Mapping):
        return {str(key): _strict(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(inner) for inner in value]
    if isinstance(value, Enum):
        return _strict(value.value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)


def _objects(results: Results) -> Iterator[dict[str, Any]]:
    yield {
        "type": "header",
        "format": "hashbench",
        "version": VERSION,
        "protocols": {
            key: card.to_plain() | {"metric": card.metric}
            for key, card in sorted(results.protocols.items())
        },
        "trainings": dict(sorted(results.trainings.items())),
        "reproduce": list(reproduce.commands(results)),
        "troubles": list(results.troubles),
    }
    for result in sorted(results.cells, key=lambda one: one.cell):
        yield _cell(result, results)
    for cell, per_query in sorted(results.worst_cases.items()):
        yield {
            "type": "worst-case",
            **asdict(cell),
            "metric": results.metric(cell),
            "value": float(per_query.mean()),
            "queries": len(per_query),
            "flags": _flags(results, cell),
        }
    for conflict in results.conflicts:
        yield {
            "type": "conflict",
            **asdict(conflict.cell),
            "metric": conflict.metric,
            "said": [
                {
                    "value": said.metrics.get(conflict.metric),
                    "provenance": _provenance(said.provenance),
                }
                for said in conflict.measurements
            ],
        }
    for board in leaderboards(results):
        yield from (_row(row, board) for row in board.rows)


def _match_objects(matches: MatchResults) -> Iterator[dict[str, Any]]:
    yield {
        "type": "header",
        "format": "hashbench",
        "version": VERSION,
        "pictures": {key: asdict(card) for key, card in sorted(matches.sets.items())},
        "reproduce": list(matches.commands),
        "troubles": list(matches.troubles),
        "violations": list(matches.violations),
    }
    for result in sorted(matches.cells, key=lambda one: one.cell):
        yield _match(result)


def _match(result: MatchResult) -> dict[str, Any]:
    return {
        "type": "match",
        **asdict(result.cell),
        "threat": result.threat,
        "bits": result.bits,
        "threshold": result.threshold,
        "black_box": result.black_box,
        "queries": result.queries,
        "status": result.status.words,
        "reason": result.reason,
        "metrics": dict(sorted(result.metrics.items())),
        "per_picture": {
            name: values.tolist() for name, values in sorted(result.per_picture.items())
        },
    }


def _cell(result: CellResult, results: Results) -> dict[str, Any]:
    cell, facts, origin = result.cell, result.attack, result.provenance
    key = cell if cell.is_clean else replace(cell, attack=WORST_CASE)
    return {
        "type": "cell",
        **asdict(cell),
        "status": result.status.words,
        "reason": result.reason,
        "metrics": dict(sorted(result.metrics.items())),
        "seconds": result.seconds,
        "queries": len(result.per_query),
        "recall": list(result.recall),
        "precision": list(result.precision),
        "flags": _flags(results, key),
        "attacked": None if facts is None else asdict(facts),
        "provenance": None if origin is None else _provenance(origin),
    }


def _provenance(origin: Provenance) -> dict[str, Any]:
    return {
        "folder": origin.folder,
        "key": origin.key,
        "made": origin.made,
        "environment": dict(sorted(origin.environment.items())),
        "plugins": dict(sorted(origin.plugins.items())),
    }


def _flags(results: Results, cell: Any) -> list[dict[str, str]]:
    return [
        {"code": str(flag.code.value), "words": flag.words} for flag in results.flags.get(cell, ())
    ]


def _row(row: Row, board: Leaderboard) -> dict[str, Any]:
    attacked = dict(zip(board.attacks, row.attacked, strict=True))
    targeted = dict(zip(board.targeted, row.targeted, strict=True))
    return {
        "type": "row",
        **asdict(board.group),
        "defense": row.defense,
        "seeds": list(row.seeds),
        "rank": row.rank,
        "first_rank": row.first_rank,
        "last_rank": row.last_rank,
        "counted": list(board.shared),
        "clean": _entry(row.clean.expected),
        "attacked": {name: _entry(score.expected) for name, score in attacked.items()},
        "targeted": {name: _entry(found.reached.expected) for name, found in targeted.items()},
        "worst_case": _entry(row.worst_case),
        "chance": _entry(row.chance),
        "floor": _entry(row.floor),
        **({"certified": _certified(row)} if board.has_certificates else {}),
        "not_ranked": [
            {"code": None if found.code is None else str(found.code.value), "words": found.words}
            for found in row.findings
        ],
    }


def _certified(row: Row) -> dict[str, Any] | None:
    found = row.certified
    if found is None:
        return None
    return {
        "proven": _entry(found.proven) | ({} if found.proven.values else {"status": found.words}),
        "mean_order": _entry(found.mean_order) if found.mean_order.values else None,
        "bits": found.bits.mean,
        "codes": found.codes.mean,
        "exact": found.exact.mean,
        "recall@1": found.recall.mean,
        "rank": found.rank,
        "worthless": found.worthless,
        "reason": found.reason,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "mean": entry.mean,
        "std": entry.std,
        "interval": _interval(entry.interval),
        "seeds": {str(seed): value for seed, value in entry.values},
        "status": entry.status.words,
    }


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
