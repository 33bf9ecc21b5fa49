"""How the numbers of a report are made again: commands, and what the record says of versions. Pure.

Nothing here depends on when or where a report is written: the same results give the same lines.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from math import prod
from typing import Any, Final, TypeAlias

from hashbench.data.protocol import PixelValues
from hashbench.eps import Eps, Norm
from hashbench.reports.text.sentences import HASH, one_line
from hashbench.results.cell import Cell
from hashbench.results.results import Results

TITLE: Final = "Reproduce"
"""What the heading above it says."""

MOST: Final = 20
"""How many commands are written out; a grid with many holes would take one for each cell."""

WIDTH: Final = 78
"""Columns of a line of a command, where its words allow it."""

FIELDS: Final = ("dataset", "loss", "backbone", "bits", "defense", "attack", "eps", "seed")
"""The options of `hashbench run` that make a grid, by the fields of a cell."""

_SAFE: Final = re.compile(r"[A-Za-z0-9_.,:=/+@%-]+")
_LINK: Final = re.compile(r"://|\bwww\.|(?<!\w)@|\w@[\w-]+\.", re.IGNORECASE)
"""What a page might make a link of, or call somebody by."""

_ADDRESS: Final = re.compile(r"www(?=\\x2e)", re.IGNORECASE)
_OPTION: Final = re.compile(r"--[a-z]+(-[a-z]+)*")
_LITERAL: Final = re.compile(r'[A-Za-z0-9_ /.,="\[\]-]+')
"""What stands between plain quotes as it is."""

_KEPT: Final = re.compile(r"[A-Za-z0-9_ ,:=+-]")

_Values: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class _Setting:
    """What one command has besides its grid.

    Attributes:
        training: the hash of the training.
        pixels: what attacked images are scored in.
    """

    training: str
    pixels: str


def commands(results: Results) -> tuple[str, ...]:
    """Lines of a shell that ask for the cells of a report; a command may take several lines.

    Every word is ASCII and quoted for bash and zsh; what might steer, start a link or end a quote
    is written by its number. A training that is not the quick suite's stands in a suite file that
    the first lines write. A folder of models stands in capitals.

    Args:
        results: the cells that the report shows.
    """
    found: list[str] = []
    by_setting: dict[_Setting, set[Cell]] = {}
    for result in results.cells:
        protocol = results.protocols[result.cell.protocol]
        setting = _Setting(result.cell.training, protocol.pixels)
        by_setting.setdefault(setting, set()).add(result.cell)
    for setting in sorted(by_setting, key=lambda one: (one.training, one.pixels)):
        training = results.trainings.get(setting.training, {})
        found += _of_setting(setting, training, by_setting[setting])
    if len(found) > MOST:
        left = len(found) - MOST
        return (*found[:MOST], f"# and {left:,} more: the grid has holes; ask for a part of it")
    return tuple(found)


def versions(results: Results) -> tuple[str, ...]:
    """What the record says of those who made these numbers: versions, commit, machine, dates.

    Args:
        results: the cells that the report shows.
    """
    made = [one.provenance for one in results.cells if one.provenance is not None]
    environments = Counter(
        ", ".join(one_line(f"{name} {value}") for name, value in sorted(one.environment.items()))
        for one in made
        if one.environment
    )
    lines = [
        f"Made with ({count:,} of {len(results.cells):,} cells): {words}."
        for words, count in sorted(environments.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    dates = sorted(one_line(one.made) for one in made if one.made)
    if dates:
        span = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
        lines.append(f"Made {span}.")
    if not lines:
        lines.append("Versions and dates: not recorded.")
    lines.append(
        "Protocols and trainings are named by the first digits of their hash: 'hashbench lookup "
        "HASH FOLDER' prints one in full."
    )
    return tuple(lines)


def laid_out(command: str) -> str:
    """A command that a store holds as a report shows it: in lines, every word one of a shell.

    What is no command of hashbench becomes a comment that says so.

    Args:
        command: on one line, of any origin.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words[:1] != ["hashbench"]:
        return "# A command that is none of hashbench is left out."
    return _laid_out(one if _OPTION.fullmatch(one) else word(one) for one in words)


def word(text: str) -> str:
    r"""A text as one word of bash or zsh, in ASCII.

    What is not plain is quoted as in `$'caf\u00e9'`, which both read to the same characters.
    """
    if _SAFE.fullmatch(text) and not _LINK.search(text) and not text.startswith("-"):
        return text
    quoted = "".join(map(_quoted, text))
    # A page takes `www` with anything behind it for an address.
    return "$'" + _ADDRESS.sub(_numbered, quoted) + "'"


def _numbered(found: re.Match[str]) -> str:
    return "".join(f"\\x{ord(character):02x}" for character in found.group())


def _quoted(character: str) -> str:
    if _KEPT.fullmatch(character):
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _of_setting(setting: _Setting, training: Mapping[str, Any], cells: set[Cell]) -> Iterator[str]:
    base = training.get("base")
    base = base if isinstance(base, Mapping) else {}
    options: list[str] = []
    left_out: set[str] = set()
    if "handed_over" in base:
        yield "# The models were objects of a program: hand them to hashbench.run again."
        return
    if "imported" in base:
        yield f"# MODELS: the folder of a model whose file is {str(base['imported'])[:HASH]}..."
        options += ["--model", "MODELS"]
        left_out |= {"dataset", "loss", "backbone", "bits", "defense"}
    if "checkpoint" in base:
        yield f"# CHECKPOINT: its folder; weights {str(base['checkpoint'])[:HASH]}..."
        options += ["--checkpoint", "CHECKPOINT"]
    grids = list(_grids(cells))
    file = _suite_file(training, [grid for grid, _ in grids])
    if file:
        name = f"hashbench-{setting.training[:HASH]}.toml"
        lines = (f"'{one}'" if _LITERAL.fullmatch(one) else word(one) for one in file)
        yield _laid_out(["printf", r"'%s\n'", *lines, f"> {name}"])
        options = [name, *options]
    if setting.pixels != PixelValues.FLOAT:
        options += ["--pixels", word(setting.pixels)]
    for grid, proven in grids:
        yield _command(grid, [*options, "--certify"] if proven else options, left_out)


def _command(grid: Sequence[_Values], options: Sequence[str], left_out: Iterable[str]) -> str:
    words = ["hashbench", "run", *options]
    for field, values in zip(FIELDS, grid, strict=True):
        if field not in left_out:
            words += [f"--{field} {word(value)}" for value in values]
    return _laid_out(words)


def _laid_out(words: Iterable[str]) -> str:
    """A command in lines, as a shell reads them."""
    lines = [""]
    for one in words:
        if len(lines[-1]) + len(one) + 3 > WIDTH and lines[-1].strip():
            lines.append("   ")
        lines[-1] += f" {one}" if lines[-1] else one
    return " \\\n".join(lines)


def _grids(cells: set[Cell]) -> Iterator[tuple[tuple[_Values, ...], bool]]:
    """Grids that together are these cells, and whether each asks for certificates too.

    A clean cell comes with every model that is attacked or of which anything is proven.
    """
    attacked = {cell for cell in cells if cell.is_attacked}
    proofs = {cell for cell in cells if cell.is_certificate}
    proven = {(cell.clean, cell.radius) for cell in proofs}
    both = {cell for cell in attacked if (cell.clean, cell.radius) in proven}
    there = {(cell.clean, cell.radius) for cell in both}
    only = {cell for cell in proofs if (cell.clean, cell.radius) not in there}
    models = {cell.clean for cell in (*attacked, *proofs)}
    alone = {cell for cell in cells if cell.is_clean and cell not in models}
    parts = ((attacked - both, False, False), (both, False, True), (only, False, True))
    for part, without, certify in (*parts, (alone, True, False)):
        rows = frozenset(tuple(str(getattr(cell, name)) for name in FIELDS) for cell in part)
        for grid in _whole(rows) if rows else ():
            # Queries that are left alone have no radius.
            yield (
                tuple(
                    () if without and name == "eps" else values
                    for name, values in zip(FIELDS, grid, strict=True)
                ),
                certify,
            )


def _whole(rows: frozenset[_Values]) -> list[tuple[_Values, ...]]:
    """Few grids whose rows are these: whole ones, by the field that leaves the fewest of them."""
    grid = _grid_of(rows)
    if prod(map(len, grid)) == len(rows):
        return [grid]
    best: list[tuple[_Values, ...]] = []
    for place, values in enumerate(grid):
        if len(values) < 2:
            continue
        parts: dict[frozenset[_Values], list[str]] = {}
        for value in values:
            own = frozenset(row for row in rows if row[place] == value)
            rest = frozenset((*row[:place], "", *row[place + 1 :]) for row in own)
            parts.setdefault(rest, []).append(value)
        if len(parts) < 2:
            continue
        found = [
            (*inner[:place], tuple(alike), *inner[place + 1 :])
            for rest, alike in parts.items()
            for inner in (_whole(rest) if _is_whole(rest) else [])
        ]
        whole = all(map(_is_whole, parts))
        if whole and (not best or len(found) < len(best)):
            best = found
    return best or _halved(rows, grid)


def _halved(rows: frozenset[_Values], grid: tuple[_Values, ...]) -> list[tuple[_Values, ...]]:
    """By the values of the first field that has several."""
    place = next(place for place, values in enumerate(grid) if len(values) > 1)
    return [
        found
        for value in grid[place]
        for found in _whole(frozenset(row for row in rows if row[place] == value))
    ]


def _is_whole(rows: frozenset[_Values]) -> bool:
    return prod(map(len, _grid_of(rows))) == len(rows)


def _grid_of(rows: frozenset[_Values]) -> tuple[_Values, ...]:
    columns = zip(*sorted(rows), strict=True)
    return tuple(
        tuple(sorted(set(column), key=partial(_order, name)))
        for name, column in zip(FIELDS, columns, strict=True)
    )


def _order(name: str, value: str) -> tuple[Any, ...]:
    if name in ("bits", "seed") and value:
        return (int(value), value)
    if name == "eps" and value:
        return (Eps.parse(value), value)
    return (0, value)


_TABLES: Final = {"base": "training", "budget": "budget", "compute": "compute"}
"""The tables of a suite file, by what a training's card calls them."""

UNSAID: Final[Mapping[str, Mapping[str, Any]]] = {
    "training": {
        "augment": "none",
        "gamma": 0.1,
        "milestones": [0.5, 0.75],
        "momentum": 0.9,
        "weight_decay": 0.0005,
    },
    "budget": {},
    "compute": {
        "database_part": 1_048_576,
        "precision": "float32",
        "processes": 1,
        "search": None,
    },
}
"""What a suite's tables hold where neither it nor the quick suite says it."""

_EPS: Final = FIELDS.index("eps")
_OF_OTHERS: Final = ("handed_over", "imported", "reported", "checkpoint", "unpickled")


def _suite_file(
    training: Mapping[str, Any], grids: Sequence[tuple[_Values, ...]]
) -> tuple[str, ...]:
    """The lines of a suite file that says how it was trained; none where that are the defaults."""
    found: list[str] = []
    # Defenses are trained at the largest L-infinity radius of a run where nobody says another one.
    largest = {_largest(grid[_EPS]) for grid in grids if grid[_EPS]}
    for name, table in _TABLES.items():
        values = training.get(name)
        if not isinstance(values, Mapping):
            continue
        said = {
            key: value
            for key, value in sorted(values.items())
            if key not in _OF_OTHERS
            and value != UNSAID[table].get(key, _defaults().get(table, {}).get(key))
            and not (name == "budget" and key == "eps" and _same_radius(value, largest))
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in said.items() if _plain(value)]
        found += [f"[{table}]", *lines] if lines else []
    return tuple(found)


def _largest(radii: Iterable[str]) -> Eps | None:
    """The largest radius of L-infinity; `None` where there is none."""
    read = map(Eps.parse, radii)
    return max((radius for radius in read if radius.norm is Norm.LINF), default=None)


def _same_radius(value: object, largest: Set[Eps | None]) -> bool:
    return len(largest) < 2 and all(Eps.parse(str(value)) == one for one in largest)


def _plain(value: object) -> bool:
    """Whether TOML writes a value as JSON does."""
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return isinstance(value, str | bool | int | float)


@cache
def _defaults() -> Mapping[str, Mapping[str, Any]]:
    """The tables of the quick suite, which a run takes what nobody says from."""
    file = files("hashbench.benchmarks").joinpath("suites", "quick.toml")
    found: Mapping[str, Mapping[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8"))
    return found
