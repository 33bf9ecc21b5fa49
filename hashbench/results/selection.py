"""Which part of results a report is of: by plugin, radius, code length, seed and suite. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields

from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.plugins.kinds import Kind
from hashbench.results.asked import last_of_each
from hashbench.results.cell import CLEAN, Cell
from hashbench.results.results import Results, part
from hashbench.suggestions import did_you_mean

_KINDS = {
    "dataset": Kind.DATASET,
    "loss": Kind.LOSS,
    "backbone": Kind.BACKBONE,
    "defense": Kind.DEFENSE,
    "attack": Kind.ATTACK,
}


@dataclass(frozen=True)
class Selection:
    """What is to be shown, as it was typed. Of each field any of its texts; an empty one asks all.

    Attributes:
        dataset, loss, backbone, defense, attack: a plugin's name, whatever its parameters, or its
            canonical text, for these parameters alone. The attack `none` is the clean queries.
        eps: radii, equal by norm and value.
        bits, seed: whole numbers.
        suite: names of suites: what the runs of one were asked for.
    """

    dataset: tuple[str, ...] = ()
    loss: tuple[str, ...] = ()
    backbone: tuple[str, ...] = ()
    defense: tuple[str, ...] = ()
    attack: tuple[str, ...] = ()
    eps: tuple[Eps, ...] = ()
    bits: tuple[str, ...] = ()
    seed: tuple[str, ...] = ()
    suite: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether it asks for anything at all."""
        return any(getattr(self, one.name) for one in fields(self))


def selected(results: Results, selection: Selection) -> Results:
    """The cells that are asked for; clean ones beside the attacked ones of their model.

    Args:
        results: to select from.
        selection: what is asked for.

    Raises:
        UsageError: a text names nothing that these results hold, or no cell is all of it.
    """
    cells = [result.cell for result in results.cells]
    wanted = _read(selection, results)
    if selection.suite:
        asked = {
            cell for run in results.asked if run.suite in selection.suite for cell in run.cells
        }
        cells = [cell for cell in cells if cell in asked]
    cells = [cell for cell in cells if _is_of(cell, wanted)]
    if selection.attack or selection.eps:
        cells = list(_attacked_so(cells, wanted))
    if not cells:
        words = [
            f"{one.name} {' or '.join(map(str, getattr(selection, one.name)))}"
            for one in fields(selection)
            if getattr(selection, one.name)
        ]
        raise UsageError(f"nothing in these results is all of this: {', '.join(words)}")
    return part(results, cells)


def last_asked(results: Results) -> Results:
    """What the last run of every folder was asked for; all cells where no run is known."""
    last = last_of_each(results.asked)
    wanted = {cell for run in last for cell in run.cells}
    return part(results, wanted) if wanted else results


@dataclass(frozen=True)
class _Wanted:
    """A selection whose texts are read: texts and names that count, by the field of a cell."""

    texts: dict[str, frozenset[str]]
    radii: frozenset[Eps]


def _is_of(cell: Cell, wanted: _Wanted) -> bool:
    """Whether a cell's model is asked for."""
    return all(
        _names(str(getattr(cell, field))) & texts
        for field, texts in wanted.texts.items()
        if field != "attack"
    )


def _attacked_so(cells: Collection[Cell], wanted: _Wanted) -> Iterator[Cell]:
    """The cells of these attacks and radii, and the clean ones of the models that have any."""
    attacks = wanted.texts.get("attack")
    found = {
        cell
        for cell in cells
        if cell.is_attacked
        and (attacks is None or _names(cell.attack) & attacks)
        and (not wanted.radii or cell.radius in wanted.radii)
    }
    models = {cell.clean for cell in found}
    proven = {cell.clean for cell in cells if cell.is_certificate and cell.radius in wanted.radii}
    attacked = {cell.clean for cell in cells if cell.is_attacked}
    for cell in cells:
        if cell.is_attacked:
            wanted_too = cell in found
        elif cell.is_certificate:
            of_model = attacks is None or CLEAN in attacks or cell.clean in models
            wanted_too = of_model and (not wanted.radii or cell.radius in wanted.radii)
        elif attacks is None:
            # One that nobody attacked has the radius 0 of its own.
            wanted_too = (
                cell in models
                or cell in proven
                or (cell not in attacked and cell.radius in wanted.radii)
            )
        else:
            wanted_too = cell in models or CLEAN in attacks
        if wanted_too:
            yield cell


def _names(text: str) -> frozenset[str]:
    """What a canonical text answers to: itself, and the plugin's name."""
    return frozenset((text, text.partition(":")[0]))


def _read(selection: Selection, results: Results) -> _Wanted:
    """Read every text of a selection, and find it in the results.

    Raises:
        UsageError: it is not there; the nearest one that is, is named.
    """
    cells = [result.cell for result in results.cells]
    texts: dict[str, frozenset[str]] = {}
    for field in (*_KINDS, "bits", "seed"):
        given: tuple[str, ...] = getattr(selection, field)
        if given:
            known = {str(getattr(cell, field)) for cell in cells}
            texts[field] = frozenset(_known(field, text.strip(), known) for text in given)
    suites = {run.suite for run in results.asked if run.suite}
    for name in selection.suite:
        if name not in suites:
            raise _unknown("suite", name, suites)
    return _Wanted(texts, frozenset(_radii(selection.eps, cells)))


def _known(field: str, text: str, known: Collection[str]) -> str:
    """A text that the results hold, in their spelling.

    Raises:
        UsageError: they hold no such thing.
    """
    if any(text in _names(one) for one in known):
        return text
    if field in _KINDS:
        spelled = _canonical(_KINDS[field], text)
        if spelled is not None and spelled in known:
            return spelled
    elif text.isdecimal() and text.isascii() and (plain := text.lstrip("0") or "0") in known:
        return plain
    raise _unknown(field, text, known)


def _canonical(kind: Kind, text: str) -> str | None:
    """The canonical text of a plugin in another spelling: a preset, a default that is written."""
    if ":" not in text and "@" not in text:
        return None  # a name alone: nothing has to be imported to see that it is not there
    from hashbench.plugins.lookup import get
    from hashbench.plugins.parameters import canonical

    try:
        return canonical(get(kind, text))
    except UsageError:
        return None


def _radii(given: Iterable[Eps], cells: Collection[Cell]) -> Iterator[Eps]:
    attacked = [cell for cell in cells if cell.is_attacked or cell.is_certificate]
    known = attacked or cells
    radii = {cell.radius for cell in known}
    for radius in given:
        if radius not in radii:
            raise _unknown("eps", str(radius), {cell.eps for cell in known})
        yield radius


def _unknown(field: str, text: str, known: Iterable[str]) -> UsageError:
    # A list in one option is a common slip; the shells of other tools take it.
    several = (
        f"; for several, repeat the option --{field}" if "," in text and ":" not in text else ""
    )
    return UsageError(f"these results hold no {field} '{text}'{did_you_mean(text, known)}{several}")
