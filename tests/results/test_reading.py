"""Reading folders of results: each cell once, for the last plan; damage is told as such."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashbench.errors import FileError, StoreError
from hashbench.results import reading
from hashbench.results.address import Address
from hashbench.results.cell import CellResult, Status
from hashbench.results.load import load_results
from hashbench.results.metrics import Metric, is_in_range, largest, toward_targets, under
from hashbench.results.planned import stored_plans
from hashbench.results.scored import measured
from hashbench.results.store import DONE, Store
from hashbench.results.sums import SCHEMA, Summed, checked_record, sealed, sum_of
from hashbench.retrieval import Ties

GOLDEN = Path(__file__).parents[1] / "golden"
ADDRESS = Address("codes", "codes", "ab" * 32)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A finished folder of today's format."""
    shutil.copytree(GOLDEN / f"format-{SCHEMA}" / "results", tmp_path / "results")
    return tmp_path / "results"


def clean_cell(results: Path) -> CellResult:
    cells = load_results(results).cells
    return next(one for one in cells if (one.cell.attack, one.cell.defense) == ("none", "none"))


def clean_scores(results: Path) -> Path:
    return next((results / "artifacts/scores").glob("score-codes-none*"))


def test_a_cell_that_many_plans_name_is_read_once(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 plans, each with one cell more than the one before, as a growing suite leaves them."""
    store = Store(results)
    plan = max((store.plan(name) for name in store.plan_names()), key=lambda one: len(one["cells"]))
    for path in (results / "plans").iterdir():
        path.unlink()
    for count in range(30):
        cells = plan["cells"][: 1 + count % len(plan["cells"])]
        store.write_plan(f"{count:02}", plan | {"cells": cells, "number": store.next_number()})
    read: list[str] = []

    def counted(store: Store, address: Address, protocol: Any, **more: Any) -> Any:
        read.append(address.key)
        return measured(store, address, protocol, **more)

    monkeypatch.setattr(reading, "measured", counted)
    cells = load_results(results).cells
    assert len(cells) == len(plan["cells"])
    assert sorted(read) == sorted({address["key"] for address in scores_of(plan)})


def scores_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan["addresses"][cell["scores"]] for cell in plan["cells"]]


def test_numbers_grow_with_every_run_and_a_damaged_plan_has_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.next_number() == 1
    store.write_plan("a", {"number": 7, "asked": "2999"})
    store.write_plan("b", {"number": 3, "asked": "3999"})
    (tmp_path / "plans" / "c.json").write_text("{")
    assert store.next_number() == 8
    (tmp_path / "plans" / "c.json").unlink()
    store.write_plan("c", {"number": 8, "asked": "1999"})
    assert store.next_number() == 9


def test_no_run_follows_the_largest_number(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_plan("a", {"number": 10**15})
    with pytest.raises(StoreError, match=r"a\.json: no run can have the number"):
        store.next_number()


def test_plans_go_by_their_numbers_and_without_them_by_the_clock(results: Path) -> None:
    store = Store(results)
    name = store.plan_names()[0]
    plan = store.plan(name)
    for path in (results / "plans").iterdir():
        path.unlink()
    for name, number, asked in (("a", 7, "1"), ("b", 0, "2"), ("c", 3, "3"), ("d", 0, "4")):
        store.write_plan(name, plan | {"number": number, "asked": asked})
    assert [one.asked for one in stored_plans(store)] == ["2", "4", "3", "1"]


@pytest.mark.parametrize("number", [-1, "1", 1.0, True, None, 10**16])
def test_a_number_that_no_run_writes_is_refused(tmp_path: Path, number: Any) -> None:
    store = Store(tmp_path)
    store.write_plan("a", {"number": number})
    with pytest.raises(StoreError, match=r"a\.json: cannot be read.*its number is none"):
        store.plan("a")


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_a_plan_without_its_sum_is_refused_in_every_format(tmp_path: Path, schema: int) -> None:
    store = Store(tmp_path)
    store.write_plan("a", {"schema": schema})
    path = tmp_path / "plans" / "a.json"
    record = json.loads(path.read_text())
    del record["sha256"]
    path.write_text(json.dumps(record))
    with pytest.raises(StoreError, match=r"a\.json: cannot be read; run the suite again"):
        store.plan("a")


def test_a_record_of_an_artifact_has_its_sum_since_format_3() -> None:
    record = {"schema": 2, "a": 1}
    assert checked_record(record, Summed.ARTIFACT) == record
    with pytest.raises(FileError, match="its sum"):
        checked_record(record | {"schema": 3}, Summed.ARTIFACT)
    for schema in (2, 3):
        whole = sealed(record | {"schema": schema})
        assert checked_record(whole, Summed.ARTIFACT) == whole
        with pytest.raises(FileError, match="its sum"):
            checked_record(whole | {"a": 2}, Summed.ARTIFACT)
    assert sum_of(whole) == whole["sha256"]


def test_every_flipped_bit_of_a_record_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    about = {"seconds": 1.5, "label": "codes", "environment": {"torch": "2.0"}}
    store.write(ADDRESS, {"codes.npz": b"x"}, about)
    path = tmp_path / ADDRESS.path / DONE
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            try:
                same = json.loads(changed) == json.loads(whole)
            except ValueError:
                same = False
            assert same or not store.has(ADDRESS), (place, bit)
    path.write_bytes(whole)
    assert store.has(ADDRESS)


@pytest.mark.parametrize("name", ["scores.json", "per_query.npz", DONE])
def test_a_damaged_score_is_told_as_damaged_with_its_file(results: Path, name: str) -> None:
    path = clean_scores(results) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = clean_cell(results)
    assert result.status is Status.MISSING
    assert result.reason.startswith(f"its result is damaged ({name}: ")
    assert result.reason.endswith("; run it again")
    path.unlink()
    assert f"({name}: " in clean_cell(results).reason
    shutil.rmtree(path.parent)
    assert clean_cell(results).reason == "it was not run, or not to the end"


def test_a_whole_score_in_another_folder_stands_for_a_damaged_one(
    results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results, tmp_path / "other")
    (clean_scores(results) / "scores.json").write_text("{}")
    for folders in ((results, tmp_path / "other"), (tmp_path / "other", results)):
        assert all("damaged" not in one.reason for one in load_results(*folders).cells)


def test_a_score_of_another_cell_is_no_score_of_this_one(results: Path) -> None:
    """Its own sums are right, but it lies where another belongs."""
    other = next((results / "artifacts/scores").glob("score-noise-on-none*"))
    shutil.rmtree(clean_scores(results))
    shutil.copytree(other, clean_scores_path := other.parent / "kept")
    clean_scores_path.rename(results / address_of_clean(results).path)
    assert "it is of another artifact" in clean_cell(results).reason


def address_of_clean(results: Path) -> Address:
    plans = stored_plans(Store(results))
    return next(
        planned.scores
        for plan in plans
        for planned in plan.cells
        if (planned.cell.attack, planned.cell.defense) == ("none", "none")
    )


def test_every_metric_has_a_range() -> None:
    counts = {
        Metric.QUERIES_WITHOUT_RELEVANT, Metric.QUERIES_WITHOUT_TARGET, Metric.DISTINCT_CODES,
        Metric.QUERIES_IN_DATABASE, Metric.L2, Metric.FORWARDS, Metric.BACKWARDS,
    }  # fmt: skip
    precisions = [
        name
        for metric in ("map", "map@5000", toward_targets("map"))
        for name in (metric, under(metric, Ties.BEST), under(metric, Ties.WORST))
    ]
    for name in (*Metric, *precisions):
        assert largest(name) == (np.inf if name in counts else 1.0)
        assert is_in_range(name, 0.0)
        assert is_in_range(name, 1.0)
        assert is_in_range(name, 7.0) == (name in counts)
        for value in (-0.1, np.nan, np.inf, -np.inf):
            assert not is_in_range(name, value)
    assert is_in_range("of a later version", -7.0)
    assert not is_in_range("of a later version", np.nan)


@pytest.mark.parametrize(
    ("kind", "key"),
    [("../x", "a" * 64), ("", "a" * 64), ("scores", "../" + "a" * 61), ("scores", "A" * 64)],
)
def test_an_address_leads_nowhere_else(kind: str, key: str) -> None:
    with pytest.raises(ValueError, match="is no k"):
        Address(kind, "slug", key)
