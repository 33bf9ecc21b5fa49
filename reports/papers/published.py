"""Numbers that papers report, read from CSV files: those that ship and a user's own."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Final

from typing_extensions import override

from hashbench.data.sources import read_source
from hashbench.eps import Eps
from hashbench.errors import FileError, UsageError
from hashbench.files import decoded
from hashbench.plugins.parameters import Spec
from hashbench.results.cell import CLEAN

COLUMNS = (
    "source",
    "table",
    "dataset",
    "queries",
    "train",
    "database",
    "loss",
    "backbone",
    "bits",
    "defense",
    "attack",
    "eps",
    "metric",
    "percent",
)
"""The columns of a file, in this order; `benchmarks/published/README.md` says what they mean."""

UNKNOWN = "unknown"
"""Stands for a condition that nobody outside of the paper's lab knows."""

PRESUMED = "?"
"""Ends a condition that the source does not state, but its scripts or its data suggest."""

_METRIC = re.compile(r"(t-)?map(@[1-9][0-9]*)?")
_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4})?")
_WHOLE = re.compile(r"[1-9][0-9]*")

MAX_BYTES: Final = 20_000_000
"""Of a file of published numbers: some hundred thousand rows."""


@dataclass(frozen=True)
class Stated:
    """A condition of a published number.

    Attributes:
        text: as in the file, without its `?`; empty where it is unknown.
        presumed: whether the source does not state it.
    """

    text: str
    presumed: bool = False

    @classmethod
    def parse(cls, written: str) -> Stated:
        """Read `dph`, `dph?` or `unknown`."""
        if written == UNKNOWN:
            return cls("")
        return cls(written.removesuffix(PRESUMED), written.endswith(PRESUMED))

    @property
    def known(self) -> bool:
        """Whether there is anything to compare with."""
        return bool(self.text)

    @override
    def __str__(self) -> str:
        return f"{self.text}{PRESUMED * self.presumed}" if self.known else UNKNOWN


ZERO: Final = Eps.parse("0")
"""The radius of clean queries."""


@dataclass(frozen=True)
class PublishedRow:
    """One published number and its conditions.

    Attributes:
        source, table: the paper, and where in it.
        dataset: name of the data set's plugin, without parameters.
        queries, train, database: numbers of images.
        loss, backbone, defense, attack: plugins by their canonical text; `none` for no defense and
            for clean queries.
        bits: code length.
        eps: radius in `[0, 1]` pixels, as for a run; `0` for clean queries.
        metric: canonical name: `map`, `map@5000`, `t-map@5000`.
        percent: the number with the digits that the source prints, from 0 to 100.
        where: file and line, for messages.
    """

    source: str
    table: str
    dataset: str
    queries: Stated
    train: Stated
    database: Stated
    loss: Stated
    backbone: Stated
    bits: int
    defense: Stated
    attack: Stated
    eps: Stated
    metric: str
    percent: Decimal
    where: str = field(default="", compare=False)

    @property
    def radius(self) -> Eps | None:
        """The radius with its norm; `None` where it is unknown."""
        return Eps.parse(self.eps.text) if self.eps.known else None

    @property
    def conditions(self) -> tuple[Stated, ...]:
        """All that may be presumed or unknown."""
        sizes = (self.queries, self.train, self.database)
        return (*sizes, self.loss, self.backbone, self.defense, self.attack, self.eps)

    @property
    def _subject(self) -> PublishedRow:
        """What must not have two numbers: the row without its own."""
        return replace(self, percent=Decimal(0))


def name_of(spec: str) -> str:
    """The plugin's name in a canonical text: `hag` in `hag:steps=2000`."""
    return spec.partition(":")[0]


def shipped() -> tuple[PublishedRow, ...]:
    """The numbers that ship with hashbench, file by file in alphabetical order."""
    folder = files("hashbench.benchmarks").joinpath("published")
    if not folder.is_dir():
        return ()
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".csv"))
    tables = sorted(found, key=lambda entry: entry.name)
    return tuple(row for entry in tables for row in _rows(entry.name, entry.read_bytes()))


def load_published(paths: Iterable[str | Path]) -> tuple[PublishedRow, ...]:
    """Read files of published numbers, in the order of `paths`.

    Raises:
        UsageError: a file is missing or cannot be read, has other columns, or a row is malformed:
            names file and line. A number that is stated twice and differently names both lines.
    """
    rows: list[PublishedRow] = []
    for path in map(Path, paths):
        rows += _rows(str(path), read_source(path, MAX_BYTES))
    return _once(rows)


def known_numbers(paths: Iterable[str | Path] = ()) -> tuple[PublishedRow, ...]:
    """The shipped numbers, then those of further files; what stands in both counts once.

    Raises:
        UsageError: as `load_published`.
    """
    return _once([*shipped(), *load_published(paths)])


def _once(rows: Sequence[PublishedRow]) -> tuple[PublishedRow, ...]:
    found: dict[PublishedRow, PublishedRow] = {}
    for row in rows:
        first = found.setdefault(row._subject, row)
        if first.percent != row.percent:
            raise UsageError(
                f"{row.where}: percent is {row.percent}, but {first.where} says {first.percent} "
                "of the same conditions"
            )
    return tuple(found.values())


def _rows(name: str, content: bytes) -> Iterator[PublishedRow]:
    try:
        text = decoded(content)
    except FileError as error:
        raise UsageError(f"{name}: {error}") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    seen_header = False
    while True:
        where = f"{name}, line {reader.line_num + 1}"
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise UsageError(f"{where}: no CSV ({error})") from None
        if fields is None:
            break
        if not any(fields):
            continue
        fields = [value.strip() for value in fields]
        if seen_header:
            yield _row(fields, where)
        else:
            _check_header(fields, where)
            seen_header = True
    if not seen_header:
        raise UsageError(f"{name}: it is empty, expected the columns {','.join(COLUMNS)}")


def _check_header(found: Sequence[str], where: str) -> None:
    if tuple(found) == COLUMNS:
        return
    missing = [name for name in COLUMNS if name not in found]
    extra = [name for name in found if name not in COLUMNS]
    what = [
        *([f"missing: {', '.join(missing)}"] if missing else []),
        *([f"unknown: {', '.join(extra)}"] if extra else []),
    ] or ["another order or a column twice"]
    raise UsageError(f"{where}: expected the columns {','.join(COLUMNS)} ({'; '.join(what)})")


def _row(fields: Sequence[str], where: str) -> PublishedRow:
    if len(fields) != len(COLUMNS):
        raise UsageError(f"{where}: {len(fields)} fields, expected {len(COLUMNS)}")
    given = dict(zip(COLUMNS, fields, strict=True))
    for column, value in given.items():
        if not value:
            raise UsageError(f"{where}: {column} is empty; '{UNKNOWN}' says that nobody knows it")
    if not _PERCENT.fullmatch(given["percent"]) or Decimal(given["percent"]) > 100:
        raise UsageError(
            f"{where}: percent is '{given['percent']}', expected a number from 0 to 100 with at "
            "most four decimals"
        )
    if not _METRIC.fullmatch(given["metric"]):
        raise UsageError(
            f"{where}: metric is '{given['metric']}', expected map, map@5000, t-map, t-map@5000 "
            "or another list length"
        )
    if not _WHOLE.fullmatch(given["bits"]):
        raise UsageError(f"{where}: bits is '{given['bits']}', expected a whole number from 1 on")
    if _spec(given["dataset"], "dataset", where) != Spec(given["dataset"]):
        raise UsageError(f"{where}: dataset is '{given['dataset']}', expected a name alone")
    row = PublishedRow(
        source=given["source"],
        table=given["table"],
        dataset=given["dataset"],
        queries=_size(given, "queries", where),
        train=_size(given, "train", where),
        database=_size(given, "database", where),
        loss=_plugin(given, "loss", where),
        backbone=_plugin(given, "backbone", where),
        bits=int(given["bits"]),
        defense=_plugin(given, "defense", where, required=True),
        attack=_plugin(given, "attack", where, required=True),
        eps=Stated.parse(given["eps"]),
        metric=given["metric"],
        percent=Decimal(given["percent"]),
        where=where,
    )
    try:
        radius = row.radius
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    if row.attack.text == CLEAN and radius != ZERO:
        raise UsageError(f"{where}: eps is '{row.eps}', but clean queries (attack none) have eps 0")
    return row


def _size(given: dict[str, str], column: str, where: str) -> Stated:
    size = Stated.parse(given[column])
    if size.known and not _WHOLE.fullmatch(size.text):
        raise UsageError(
            f"{where}: {column} is '{given[column]}', expected a number of images or '{UNKNOWN}'"
        )
    return size


def _plugin(given: dict[str, str], column: str, where: str, *, required: bool = False) -> Stated:
    stated = Stated.parse(given[column])
    if not stated.known:
        if required:
            raise UsageError(f"{where}: {column} is '{UNKNOWN}', expected a plugin's name")
        return stated
    if _spec(stated.text, column, where).preset is not None:
        # A report loads no attack and no defense, so it cannot look a preset up.
        raise UsageError(
            f"{where}: {column} is '{given[column]}': write the preset's parameters out, as in "
            "hag:steps=2000"
        )
    return stated


def _spec(text: str, column: str, where: str) -> Spec:
    try:
        return Spec.parse(text)
    except UsageError as error:
        raise UsageError(f"{where}: {column}: {error}") from None
