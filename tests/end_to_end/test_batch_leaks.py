"""Runs whose numbers depend on who is in the batch: flagged and not ranked; honest ones are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hashbench
from hashbench.plugins.registered import Registry
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.results.flags import Code
from hashbench.results.results import Results
from hashbench.runner.suite import from_plain
from support import leaky

TINY = Path(__file__).with_name("tiny_data.py")
LEAKY = Path(leaky.__file__)
OF_BATCHES = {Code.BATCH_DEPENDENT_CODES, Code.BATCH_DEPENDENT_ATTACK}
SIZES = (1, 500)

pytestmark = pytest.mark.slow

Run = Callable[..., Results]


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    with leaky.cleaned():
        yield


@pytest.fixture
def run(fresh_registry: Registry, tmp_path: Path) -> Run:  # noqa: ARG001
    """(**keys of a suite file) -> results, on a small part of fashion, in this process."""

    def with_defaults(attack_batch: int, **changes: Any) -> Results:
        given = {
            "name": "leaks",
            "plugin": [str(TINY), str(LEAKY)],
            "dataset": "tiny",
            "loss": "csq",
            "backbone": "small-cnn:width=8,hidden=32",
            "bits": 16,
            "eps": "24/255",
            "defense": "none",
            "attack": ["noise", "pgd-hamming:steps=10,step_size=4/255"],
            "training": {"epochs": 6, "batch": 16},
            "budget": {"epochs": 1, "inner_steps": 1},
            "compute": {"attack_batch": attack_batch},
        }
        results = hashbench.run(from_plain({**given, **changes}, "the suite"), out=tmp_path)
        assert not results.failed
        return results

    return with_defaults


def found(results: Results) -> dict[str, tuple[set[Code], int | None]]:
    """By defense: the flags about batches, and the rank."""
    (board,) = leaderboards(results)
    return {row.defense: (OF_BATCHES & set(row.codes), row.rank) for row in board.rows}


@pytest.mark.parametrize("size", [1, 50, 500])
def test_statistics_of_the_batch_in_the_backbone(run: Run, size: int) -> None:
    results = run(size, backbone="batch-stats")
    assert found(results) == {"none": ({Code.BATCH_DEPENDENT_CODES}, None)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("loss", "backbone"),
    [
        ("hooking", "small-cnn:width=8,hidden=32"),
        ("patching", "small-cnn:width=8,hidden=32"),
        ("remembering", "recalling"),
    ],
)
def test_a_memory_that_a_loss_left_behind(run: Run, size: int, loss: str, backbone: str) -> None:
    results = run(size, loss=loss, backbone=backbone)
    codes, rank = found(results)["none"]
    assert Code.BATCH_DEPENDENT_CODES in codes
    assert rank is None


@pytest.mark.parametrize("size", SIZES)
def test_a_wrapper_that_normalises_over_the_batch_or_keeps_state(run: Run, size: int) -> None:
    leaks = ("batch-centred", "recollecting", "placed", "sized")
    rows = found(run(size, defense=["none", *leaks]))
    assert rows.pop("none") == (set(), 1)
    assert rows == {name: ({Code.BATCH_DEPENDENT_CODES}, None) for name in leaks}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("attack", ["together", "warm-start", "tiring", "scaled-by-batch"])
def test_an_attack_with_a_state_of_its_own(run: Run, size: int, attack: str) -> None:
    rows = found(run(size, attack=["noise", "honest", attack], defense=["none", "jpeg"]))
    assert rows == {name: ({Code.BATCH_DEPENDENT_ATTACK}, None) for name in ("none", "jpeg")}


@pytest.mark.parametrize("size", SIZES)
def test_honest_models_and_attacks_raise_no_such_flag(run: Run, size: int) -> None:
    results = run(
        size,
        defense=["none", "atrdh", "cgat", "jpeg", "bit-depth", "resize-pad"],
        attack=["noise", "pgd-hamming:steps=5"],
    )
    assert {name: codes for name, (codes, _) in found(results).items() if codes} == {}
    (board,) = leaderboards(results)
    drawing = next(row for row in board.rows if row.defense == "resize-pad")
    assert Code.STOCHASTIC_CODES in drawing.codes


def test_the_attacks_that_are_shipped_raise_no_such_flag(run: Run) -> None:
    names = ("hag", "sdha", "pgd-hamming", "smooth-ap", "mainstay", "p2p", "honest")
    attacks = ["noise", "auto", "universal:epochs=1", *(f"{name}:steps=10" for name in names)]
    assert found(run(500, attack=attacks))["none"][0] == set()
