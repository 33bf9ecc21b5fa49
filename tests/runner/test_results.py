"""Results: the latest plan speaks; nothing is dropped; a worst case needs every attack."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashbench.data import Protocol
from hashbench.errors import StoreError, UsageError
from hashbench.results.address import Address
from hashbench.results.cell import WORST_CASE, Cell, CellResult, Status
from hashbench.results.load import load_results
from hashbench.results.results import COLUMNS, Results, only
from hashbench.results.store import SCHEMA, Failure, Store
from hashbench.runner.fingerprint import sha256_of

WORST_CASE_LACKS = "an attack of this row failed or was not run"
PROTOCOL = Protocol("tiny", 24, 3, 40, 4, "5" * 64, None)
OUTFITS = replace(PROTOCOL, dataset="outfits")
WIDER = replace(PROTOCOL, database=41)
PROTOCOLS = {protocol.hash: protocol for protocol in (PROTOCOL, OUTFITS, WIDER)}
TRAINING = {"base": {"epochs": 2}}
CLEAN = Cell(
    dataset="tiny",
    loss="csq",
    backbone="small-cnn",
    bits=8,
    defense="none",
    attack="none",
    eps="0",
    seed=0,
    protocol=PROTOCOL.hash,
    training="7" * 64,
)


def attacked(attack: str, eps: str = "8/255", **changes: Any) -> Cell:
    return replace(CLEAN, attack=attack, eps=eps, **changes)


def address(cell: Cell, kind: str, version: int = 0) -> Address:
    if kind == "model":  # all cells of a row share theirs
        cell = replace(cell, attack="none", eps="0")
    slug = f"{kind} {cell.defense} {cell.attack}"
    return Address(kind, slug, sha256_of([asdict(cell), kind, version]))


class Folder:
    """A store that is written by hand: plans, scores, failures."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store(path)

    def plan(
        self, name: str, asked: str, cells: Iterable[Cell], version: int = 0, attack: str = ""
    ) -> None:
        self.store.write_plan(
            name,
            {
                "asked": asked,
                "suite": {},
                "protocols": {cell.protocol: PROTOCOLS[cell.protocol].to_plain() for cell in cells},
                "trainings": {cell.training: TRAINING for cell in cells},
                "cells": [
                    {
                        "cell": asdict(cell),
                        "scores": asdict(address(cell, "scores", version)),
                        "attack": attack,
                        "steps": [
                            asdict(address(cell, kind, version))
                            for kind in ("model", "adversarial", "scores")
                        ],
                    }
                    for cell in cells
                ],
            },
        )

    def score(self, cell: Cell, per_query: list[float], version: int = 0, **extra: float) -> None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, expected=np.array(per_query), stable=np.zeros(3))
        summary = {
            "metrics": {"map": float(np.mean(per_query)), **extra},
            "curve": {"recall": [0.0, 1.0], "precision": [1.0, 0.5]},
        }
        files = {"scores.json": json.dumps(summary).encode(), "per_query.npz": buffer.getvalue()}
        self.store.write(address(cell, "scores", version), files, {})

    def fail(self, cell: Cell, kind: str, reason: str) -> None:
        self.store.fail(address(cell, kind), Failure(reason, "Traceback ..."))

    def load(self) -> dict[Cell, CellResult]:
        return {result.cell: result for result in load_results(self.path).cells}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "results")


def test_a_finished_cell_is_read_whole(folder: Folder) -> None:
    folder.plan("a", "2024-05-01", [CLEAN])
    folder.score(CLEAN, [0.25, 0.5, 0.75], chance=0.25)
    result = folder.load()[CLEAN]
    assert result.status is Status.DONE
    assert result.reason == ""
    assert result.metrics == {"map": 0.5, "chance": 0.25}
    assert (result.recall, result.precision) == ((0.0, 1.0), (1.0, 0.5))
    assert result.per_query.tolist() == [0.25, 0.5, 0.75]
    assert result.per_query.dtype == np.float64
    results = load_results(folder.path)
    assert results.protocols == {PROTOCOL.hash: PROTOCOL}
    assert results.trainings == {CLEAN.training: TRAINING}
    assert results.failed == ()


@pytest.mark.parametrize("kind", ["model", "adversarial", "scores"])
def test_a_failed_cell_is_shown_with_the_reason_of_the_step_that_failed(
    folder: Folder, kind: str
) -> None:
    cell = attacked("hag")
    folder.plan("a", "2024-05-01", [CLEAN, cell])
    folder.score(CLEAN, [0.5, 0.5, 0.5])
    folder.fail(cell, kind, "the loss became nan")
    found = folder.load()
    assert found[CLEAN].status is Status.DONE
    assert (found[cell].status, found[cell].reason) == (Status.FAILED, "the loss became nan")
    assert found[cell].metrics == {}
    assert [result.cell for result in load_results(folder.path).failed] == [cell]


def test_a_cell_that_was_not_reached_is_shown_as_such(folder: Folder) -> None:
    folder.plan("a", "2024-05-01", [CLEAN])
    result = folder.load()[CLEAN]
    assert result.status is Status.MISSING
    assert result.reason == "it was not run, or not to the end"


def test_a_damaged_result_is_not_shown_as_one(folder: Folder) -> None:
    folder.plan("a", "2024-05-01", [CLEAN])
    folder.score(CLEAN, [0.5, 0.5, 0.5])
    path = folder.path / address(CLEAN, "scores").path / "scores.json"
    path.write_text(path.read_text().replace("0.5", "0.9"))
    assert folder.load()[CLEAN].status is Status.MISSING


def test_the_latest_plan_speaks_for_a_cell(folder: Folder) -> None:
    """Two plans name the same cell with different keys: after an edit of a plugin, say."""
    folder.score(CLEAN, [0.1, 0.1, 0.1], version=1)
    folder.score(CLEAN, [0.9, 0.9, 0.9], version=2)
    folder.plan("z", "2024-05-01T10:00", [CLEAN], version=1)
    folder.plan("a", "2024-05-01T11:00", [CLEAN], version=2)
    assert folder.load()[CLEAN].metrics["map"] == pytest.approx(0.9)
    # Asked for again, the first one is the latest.
    folder.plan("z", "2024-05-01T12:00", [CLEAN], version=1)
    assert folder.load()[CLEAN].metrics["map"] == pytest.approx(0.1)
    # Also when it has no result yet: an outdated one must not stand in.
    folder.plan("b", "2024-05-01T13:00", [CLEAN], version=3)
    assert folder.load()[CLEAN].status is Status.MISSING


def test_a_row_never_mixes_two_versions_of_its_model(folder: Folder) -> None:
    """A defense was edited between two runs that attack it in different ways."""
    hag, sdha = attacked("hag"), attacked("sdha")
    folder.plan("a", "2024-05-01", [CLEAN, hag], version=1)
    folder.plan("b", "2024-05-02", [CLEAN, sdha], version=2)
    for cell, version in ((CLEAN, 1), (hag, 1), (CLEAN, 2), (sdha, 2)):
        folder.score(cell, [version / 10] * 3, version=version)
    found = folder.load()
    assert found[CLEAN].metrics["map"] == pytest.approx(0.2)
    assert found[sdha].status is Status.DONE
    assert found[hag].status is Status.MISSING
    assert "earlier version of this model" in found[hag].reason
    assert load_results(folder.path).worst_cases == {}


def test_a_column_never_mixes_two_versions_of_its_attack(folder: Folder) -> None:
    """An attack was edited, and run again on one of two defenses only."""
    one, other = attacked("mine"), attacked("mine", defense="cgat")
    folder.plan("a", "2024-05-01", [one, other], attack="old")
    folder.score(one, [0.1] * 3)
    folder.score(other, [0.2] * 3)
    assert {result.status for result in folder.load().values()} == {Status.DONE}
    folder.plan("b", "2024-05-02", [one], attack="new")
    found = folder.load()
    assert found[one].status is Status.DONE
    assert found[other].status is Status.MISSING
    assert "earlier version of this attack" in found[other].reason


def test_cells_of_all_plans_are_shown_each_once(folder: Folder) -> None:
    hag, noise = attacked("hag"), attacked("noise")
    folder.plan("a", "2024-05-01", [CLEAN, hag])
    folder.plan("b", "2024-05-02", [CLEAN, noise])
    assert list(folder.load()) == sorted([CLEAN, hag, noise])


def test_folders_are_read_as_one(tmp_path: Path) -> None:
    """Two machines share a grid: plan here, result there; and the order of folders is nothing."""
    here, there, third = (Folder(tmp_path / name) for name in ("here", "there", "third"))
    hag = attacked("hag")
    here.plan("a", "2024-05-01", [CLEAN, hag])
    here.score(CLEAN, [0.5, 0.5, 0.5])
    here.fail(hag, "adversarial", "out of memory")
    there.score(hag, [0.2, 0.2, 0.2])
    third.plan("a", "2024-05-01", [CLEAN])
    for order in permutations([here.path, there.path, third.path]):
        found = {result.cell: result for result in load_results(*order).cells}
        assert found[CLEAN].status is Status.DONE
        assert found[hag].metrics["map"] == pytest.approx(0.2)  # done somewhere, so it is done
    there.plan("b", "2024-04-01", [CLEAN], version=9)
    for order in permutations([here.path, there.path]):
        found = {result.cell: result for result in load_results(*order).cells}
        assert found[CLEAN].status is Status.DONE  # the plan of another folder may be the later one


def test_a_merged_copy_reads_as_the_two_folders(tmp_path: Path) -> None:
    here, there = Folder(tmp_path / "here"), Folder(tmp_path / "there")
    hag = attacked("hag")
    here.plan("a", "2024-05-01", [CLEAN])
    here.score(CLEAN, [0.5, 0.5, 0.5])
    there.plan("b", "2024-05-01", [hag])
    there.score(hag, [0.25, 0.5, 0.0])
    both = load_results(here.path, there.path).to_frame()
    shutil.copytree(there.path, here.path, dirs_exist_ok=True)
    assert load_results(here.path).to_frame().equals(both)


def test_the_worst_case_is_per_query(folder: Folder) -> None:
    scores: Mapping[str, list[float]] = {
        "hag": [0.1, 0.9, 0.5],
        "noise": [0.8, 0.2, 0.5],
        "pgd-hamming": [0.3, 0.3, 0.4],
    }
    cells = [attacked(name) for name in scores]
    folder.plan("a", "2024-05-01", [CLEAN, *cells])
    folder.score(CLEAN, [0.0, 0.0, 0.0])  # the clean row is no attack
    for cell in cells:
        folder.score(cell, scores[cell.attack])
    ((cell, worst),) = load_results(folder.path).worst_cases.items()
    assert cell == attacked(WORST_CASE)
    assert worst.tolist() == [0.1, 0.2, 0.4]
    # It is below every single attack, and that is the point.
    assert worst.mean() < min(np.mean(values) for values in scores.values())


def test_a_worst_case_needs_every_attack(folder: Folder) -> None:
    cells = [
        attacked(name, defense=defense)
        for defense in ("atrdh", "cgat")
        for name in ("hag", "noise")
    ]
    folder.plan("a", "2024-05-01", cells)
    for cell in cells[:3]:
        folder.score(cell, [0.5, 0.5, 0.5])
    assert list(load_results(folder.path).worst_cases) == [attacked(WORST_CASE, defense="atrdh")]
    folder.fail(cells[3], "adversarial", "it broke")
    assert list(load_results(folder.path).worst_cases) == [attacked(WORST_CASE, defense="atrdh")]
    folder.score(cells[3], [0.5, 0.5, 0.1])
    assert len(load_results(folder.path).worst_cases) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"eps": "16/255"},
        {"seed": 1},
        {"bits": 16},
        {"loss": "dpsh"},
        {"backbone": "vgg11"},
        {"dataset": "outfits", "protocol": OUTFITS.hash},
        {"training": "8" * 64},
        {"protocol": WIDER.hash},
    ],
    ids=lambda change: next(iter(change)),
)
def test_worst_cases_never_mix_settings(folder: Folder, change: dict[str, Any]) -> None:
    one, other = attacked("hag"), replace(attacked("noise"), **change)
    folder.plan("a", "2024-05-01", [one, other])
    folder.score(one, [0.1, 0.1, 0.1])
    folder.score(other, [0.9, 0.9, 0.9])
    worst = load_results(folder.path).worst_cases
    assert sorted(values[0] for values in worst.values()) == [0.1, 0.9]


def test_the_frame_has_one_row_per_cell_and_metric(folder: Folder) -> None:
    done, failed = attacked("hag"), attacked("hag", defense="cgat")
    missing = attacked("noise", defense="cgat")
    folder.plan("a", "2024-05-01", [done, failed, CLEAN, missing])
    folder.score(CLEAN, [0.5, 0.5, 0.5], chance=0.25)
    folder.score(done, [0.25, 0.5, 0.0])
    folder.fail(failed, "model", "the loss became nan")
    frame = load_results(folder.path).to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert list(frame.columns[:10]) == (
        [
            "dataset",
            "loss",
            "backbone",
            "bits",
            "defense",
            "attack",
            "eps",
            "seed",
            "metric",
            "value",
        ]
    )
    shown = frame[["defense", "attack", "eps", "metric", "value", "status", "reason"]]
    rows = [tuple(row) for row in shown.itertuples(index=False)]
    assert [row[:4] + row[5:] for row in rows] == [
        ("cgat", "hag", "8/255", "map", "failed", "the loss became nan"),
        ("cgat", "noise", "8/255", "map", "failed", "the loss became nan"),  # the same model
        ("cgat", WORST_CASE, "8/255", "map", "failed", WORST_CASE_LACKS),
        ("none", "hag", "8/255", "map", "done", ""),
        ("none", "none", "0", "chance", "done", ""),
        ("none", "none", "0", "map", "done", ""),
        ("none", WORST_CASE, "8/255", "map", "done", ""),
    ]
    values = [row[4] for row in rows]
    assert np.isnan(values[:3]).all()
    assert values[3:] == [0.25, 0.25, 0.5, 0.25]
    assert set(frame["protocol"]) == {PROTOCOL.hash[:12]}
    assert set(frame["training"]) == {"7" * 12}
    assert frame["bits"].dtype.kind == frame["seed"].dtype.kind == "i"


def test_the_frame_does_not_depend_on_the_order_of_plans_and_cells(tmp_path: Path) -> None:
    cells = [
        attacked("hag", eps=eps, seed=seed) for eps in ("8/255", "16/255") for seed in (0, 1, 10)
    ]
    cells += [replace(CLEAN, seed=seed) for seed in (0, 1, 10)]
    frames = []
    for number, order in enumerate((cells, cells[::-1], cells[4:] + cells[:4])):
        folder = Folder(tmp_path / str(number))
        for place, cell in enumerate(order):
            folder.plan(f"{place}", f"2024-05-{place + 1:02}", [cell])
            folder.score(cell, [cell.seed / 20, 0.5, 0.5])
        frames.append(load_results(folder.path).to_frame())
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])
    assert len(frames[0]) == len(cells) + 6  # and a worst case for each attacked column
    assert frames[0]["seed"].tolist() == [0, 1, 10] * 5  # by number, not by text


def test_the_metric_is_named_after_the_list_length() -> None:
    protocol = replace(PROTOCOL, top_k=5000)
    cell = replace(attacked("hag"), protocol=protocol.hash)
    results = Results(
        (CellResult(cell, Status.FAILED, "x"),), {protocol.hash: protocol}, {CLEAN.training: {}}
    )
    assert results.metric(cell) == "map@5000"
    assert results.to_frame()["metric"].tolist() == ["map@5000"] * 2  # and its worst case


def test_only_keeps_the_cells_that_are_asked_for(folder: Folder) -> None:
    cells = [attacked("hag"), attacked("noise")]
    folder.plan("a", "2024-05-01", [CLEAN, *cells])
    results = load_results(folder.path)
    part = only(results, [cells[1], attacked("other")])
    assert [result.cell for result in part.cells] == [cells[1]]
    assert part.protocols == results.protocols


def test_no_folder_a_missing_one_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name at least one folder"):
        load_results()
    with pytest.raises(UsageError, match="or 'hashbench match' makes one") as raised:
        load_results(tmp_path / "nowhere")
    assert str(raised.value).startswith(f"folder {tmp_path}/nowhere: no such folder")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        load_results(tmp_path / "file")
    with pytest.raises(UsageError, match=f"no results in it; 'hashbench run --out {tmp_path}'"):
        load_results(tmp_path)


def test_a_plan_of_a_newer_version_is_refused(folder: Folder) -> None:
    folder.plan("a", "2024-05-01", [CLEAN])
    path = folder.path / "plans" / "a.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": SCHEMA + 1}))
    with pytest.raises(StoreError, match="update it"):
        load_results(folder.path)
