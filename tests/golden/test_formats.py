"""Stored results of every format: they load, and show what they showed when they were written."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Any

import pytest

from hashbench import plugins
from hashbench.data.protocol import FIELDS, Protocol
from hashbench.errors import StoreError
from hashbench.hashing import checkpoint
from hashbench.hashing.checkpoint import CARD, ModelCard, read_card
from hashbench.plugins import lookup
from hashbench.plugins.card import Access
from hashbench.records import read
from hashbench.reports.comma_separated import CommaSeparated
from hashbench.reports.terminal import Terminal
from hashbench.results import migrations, planned, reading, scored, store
from hashbench.results.cell import AttackFacts, Cell, CellResult, Status
from hashbench.results.flags import Code
from hashbench.results.load import load_results
from hashbench.results.metrics import Metric, is_certified, toward_targets, under
from hashbench.retrieval import Ties
from hashbench.runner.plan import make_plan
from hashbench.runner.suite import override, quick

HERE = Path(__file__).parent
FORMATS = range(1, store.SCHEMA + 1)

every_format = pytest.mark.parametrize("folder", [HERE / f"format-{n}" for n in FORMATS])


def test_every_format_has_its_folder_and_its_way_up() -> None:
    assert {path.name for path in HERE.glob("format-*")} == {f"format-{n}" for n in FORMATS}
    for number in FORMATS:
        plans = list((HERE / f"format-{number}" / "results/plans").glob("*.json"))
        assert plans
        assert {json.loads(path.read_text())["schema"] for path in plans} == {number}
    # A format that nothing tells from the one before is none.
    assert {number for _, number in migrations.MIGRATIONS} == set(FORMATS) - {store.SCHEMA}
    written = {read_json(path / "model" / CARD)["schema"] for path in HERE.glob("format-*")}
    assert checkpoint.SCHEMA in written
    versions = {
        read_json(path / "protocol.json")["protocol"].get("version", 1)
        for path in HERE.glob("format-*")
    }
    assert versions == set(FIELDS)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def promised(folder: Path) -> str:
    """The CSV of the version that wrote a folder."""
    return (folder / "report.csv").read_text()


def without_later_columns(table: str, folder: Path) -> str:
    """A CSV in the columns that a folder's version had, whose names it keeps: later ones follow."""
    count = len(next(csv.reader(io.StringIO(promised(folder)))))
    kept = io.StringIO()
    rows = csv.reader(io.StringIO(table))
    csv.writer(kept, lineterminator="\n").writerows(row[:count] for row in rows)
    return kept.getvalue()


@every_format
def test_the_tables_are_those_that_were_shown(folder: Path) -> None:
    results = load_results(folder / "results")
    assert without_later_columns(CommaSeparated().render(results), folder) == promised(folder)
    assert Terminal().render(results) == (folder / "report.txt").read_text()


@every_format
def test_a_folder_holds_all_that_a_cell_can_be(folder: Path) -> None:
    cells = load_results(folder / "results").cells
    assert {result.status for result in cells} == set(Status)
    facts = [result.attack for result in cells if result.attack is not None]
    assert {fact.access for fact in facts} == {Access.NONE, Access.RANKING, Access.GRADIENT}
    assert {fact.aim for fact in facts} == set(plugins.Aim)
    assert any(result.seconds is not None for result in cells)
    assert len({result.cell.radius for result in cells if result.attack is not None}) == 2


ADDED = {Metric.DEPENDENT, Metric.PROBE_DEPENDENT}
"""Metrics that are measured since the folders of formats 1 and 2 were made."""

RARE = {Metric.PROBE_CODES_ALONE, Metric.QUERIES_IN_DATABASE, *filter(is_certified, Metric)}
"""Metrics that are written of few models or data alone: those without gradients, those of files,
those of which a certificate was asked for."""


@every_format
def test_every_stored_metric_has_its_name_today(folder: Path) -> None:
    """A metric that got another name would be missed by the flags, without a word."""
    results = load_results(folder / "results")
    stored = {name for result in results.cells for name in result.metrics}
    precisions = {
        name
        for metric in ("map", toward_targets("map"))
        for name in (metric, under(metric, Ties.BEST), under(metric, Ties.WORST))
    }
    added = set() if folder.name == "format-3" else ADDED
    assert stored == {*Metric, *precisions} - added - RARE


@every_format
def test_what_was_not_measured_yet_raises_no_flag(folder: Path) -> None:
    results = load_results(folder / "results")
    codes = {flag.code for flags in results.flags.values() for flag in flags}
    assert not codes & {Code.BATCH_DEPENDENT_CODES, Code.BATCH_DEPENDENT_ATTACK}


def test_the_scores_of_an_older_format_are_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they would be if metrics got other names; that of mAP is the protocol's."""

    def new(metrics: Mapping[str, float]) -> dict[str, float]:
        return {name if "map" in name else f"new {name}": one for name, one in metrics.items()}

    def renamed(scores: Mapping[str, Any]) -> dict[str, Any]:
        return {**scores, "metrics": new(scores["metrics"])}

    before = load_results(HERE / "format-1/results").cells
    monkeypatch.setattr(
        scored, "MIGRATIONS", {**migrations.MIGRATIONS, (migrations.SCORES, 1): renamed}
    )
    for old, after in zip(before, load_results(HERE / "format-1/results").cells, strict=True):
        assert after.metrics == new(old.metrics)


@every_format
def test_a_protocol_has_the_hash_that_was_written(folder: Path) -> None:
    stored = read_json(folder / "protocol.json")
    assert read(Protocol, stored["protocol"], "protocol").hash == stored["hash"]
    protocols = load_results(folder / "results").protocols
    assert {key: protocol.hash for key, protocol in protocols.items()} == {
        stored["hash"]: stored["hash"]
    }


@pytest.fixture
def own_registry() -> Iterator[None]:
    """Plugins of this test alone."""
    lookup._registry.cache_clear()
    yield
    lookup._registry.cache_clear()


@every_format
@pytest.mark.usefixtures("own_registry")
def test_an_exported_model_is_accepted_by_a_run(folder: Path) -> None:
    """Its protocol's hash is what the data give today, and its weights fit."""
    model = {"model": str(folder / "model"), "attack": "noise", "plugin": str(HERE / "tiny.py")}
    cells = make_plan(override(quick(), model)).cells
    assert {planned.cell.defense for planned in cells} == {"atrdh"}
    assert {planned.cell.protocol for planned in cells} == {read_card(folder / "model").protocol}


def test_a_format_that_is_not_known_yet_is_refused_with_a_sentence(tmp_path: Path) -> None:
    newest = HERE / f"format-{store.SCHEMA}" / "results"
    shutil.copytree(newest, tmp_path / "results")
    for path in (tmp_path / "results/plans").glob("*.json"):
        path.write_text(json.dumps(read_json(path) | {"schema": store.SCHEMA + 1}))
    with pytest.raises(StoreError, match=f"format {store.SCHEMA + 1}, this .* reads up to"):
        load_results(tmp_path / "results")


@every_format
def test_fields_that_are_added_with_a_default_change_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a later version may do: a cell, a protocol, facts and a card with a field more."""
    before = load_results(folder / "results")
    card = read_card(folder / "model")
    protocol_hash = read_json(folder / "protocol.json")["hash"]

    def wider(kind: type[Any], *members: Any) -> Any:
        given = members or [("added", str, "as ever")]
        return make_dataclass(
            f"Wider{kind.__name__}", given, bases=(kind,), frozen=True, order=kind is Cell
        )

    facts = ("facts", wider(AttackFacts) | None, None)
    stored_cell: Any = wider(planned.StoredCell, ("cell", wider(Cell)), facts)
    stored_plan = wider(
        planned.StoredPlan,
        ("cells", tuple[stored_cell, ...]),
        ("protocols", Mapping[str, wider(Protocol)]),  # type: ignore[misc]
    )
    monkeypatch.setattr(planned, "StoredPlan", stored_plan)
    monkeypatch.setattr(checkpoint, "ModelCard", wider(ModelCard))
    after = load_results(folder / "results")
    for result in after.cells:
        assert result.cell.added == "as ever"  # type: ignore[attr-defined]
        assert result.attack is None or result.attack.added == "as ever"  # type: ignore[attr-defined]
    for key, protocol in after.protocols.items():
        assert protocol.added == "as ever"  # type: ignore[attr-defined]
        assert protocol.hash == key == protocol_hash
    assert Terminal().render(after) == Terminal().render(before)
    wide = read_card(folder / "model")
    assert wide.added == "as ever"  # type: ignore[attr-defined]
    assert {field.name: getattr(wide, field.name) for field in fields(card)} == {
        field.name: getattr(card, field.name) for field in fields(card)
    }


def test_the_result_of_a_cell_is_read_by_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field more in what is made of a cell: no table changes either."""
    folder = HERE / "format-1"
    wider = make_dataclass("Wider", [("added", int, 0)], bases=(CellResult,), frozen=True)
    monkeypatch.setattr(reading, "CellResult", wider)
    results = load_results(folder / "results")
    assert without_later_columns(CommaSeparated().render(results), folder) == promised(folder)
