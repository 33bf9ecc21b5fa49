"""Train sets with no label at all, or one: every attack, defense and loss goes through with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import hashbench
from hashbench import plugins
from hashbench.results.cell import CLEAN, Status
from hashbench.results.results import Results
from hashbench.runner.suite import Suite

FILE = Path(__file__).with_name("bare_data.py")
TinySuite = Callable[..., Suite]

SHORT = {
    "pros-gan": ":prototype_steps=2,epochs=1",
    "tha": ":steps=2,training_steps=2",
    "universal": ":epochs=1",
    "auto": "",
    "noise": "",
    "random-search": "",
    "ranked-search": "",
    "evade-by-distance": ":queries=9",
    "collide-by-distance": ":queries=9",
}
PRESETS = ("mainstay:targeted=true,steps=2", "sdha@targeted")
FEW = ["bare", "bare:train=1", "bare:database=0"]


def built_in(kind: str) -> list[str]:
    return [name for name in plugins.names(kind) if not name.startswith("control-")]


@pytest.mark.slow
@pytest.mark.parametrize("dataset", FEW)
def test_every_attack(tiny_suite: TinySuite, tmp_path: Path, dataset: str) -> None:
    attacks = [name + SHORT.get(name, ":steps=2") for name in built_in("attack")]
    assert len(attacks) > 14
    suite = tiny_suite(plugin=[FILE], dataset=dataset, attack=[*attacks, *PRESETS])
    results = hashbench.run(suite, out=tmp_path)
    assert reasons(results) == []


@pytest.mark.slow
@pytest.mark.parametrize("dataset", FEW)
def test_every_defense_and_loss(tiny_suite: TinySuite, tmp_path: Path, dataset: str) -> None:
    for changes in (
        {"defense": built_in("defense")},
        {"loss": built_in("loss"), "defense": ["none", "cgat"]},
    ):
        suite = tiny_suite(plugin=[FILE], dataset=dataset, attack="noise", **changes)
        results = hashbench.run(suite, out=tmp_path)
        assert reasons(results) == []


def test_without_a_label_a_targeted_attack_leaves_every_query_alone(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    """No training image has a label, so no query has a target."""
    attacks = [
        "tha:steps=2,training_steps=2",
        "pros-gan:prototype_steps=2,epochs=1",
        "dhta:steps=2",
    ]
    results = hashbench.run(tiny_suite(plugin=[FILE], dataset="bare", attack=attacks), out=tmp_path)
    assert reasons(results) == []
    for result in results.cells:
        if result.cell.attack != CLEAN:
            assert result.metrics["flipped-bits"] == 0
            assert result.metrics["queries-without-target"] == 8


def test_auto_does_what_it_can_without_a_label(tiny_suite: TinySuite, tmp_path: Path) -> None:
    """No code has anything to be far from: it stays in the ball, and its mAP is a number."""
    suite = tiny_suite(plugin=[FILE], dataset="bare", attack=["auto", "pgd-hamming:steps=2"])
    results = hashbench.run(suite, out=tmp_path)
    assert reasons(results) == []
    for result in results.cells:
        assert 0 <= result.metrics["map"] <= 1


def reasons(results: Results) -> list[tuple[str, str, str, str]]:
    """What failed, and why."""
    return [
        (result.cell.loss, result.cell.defense, result.cell.attack, result.reason)
        for result in results.cells
        if result.status is not Status.DONE
    ]
