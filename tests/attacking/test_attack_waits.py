"""An attack's inner steps: nothing in them makes the host wait for the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench import plugins
from hashbench.attacking import (
    Attacker,
    AttackOutcome,
    Eps,
    Known,
    Threat,
    WorstCase,
    run_attack,
)
from hashbench.attacks import auto
from hashbench.hashing import HashModel
from hashbench.plugins import Attack
from hashbench.testing.waits import waits

DESCENTS = (
    "pgd-hamming",
    "pgd-hamming:rule=mi",
    "pgd-hamming:rule=ni",
    "pgd-hamming:rule=si-ni",
    "pgd-hamming:step_schedule=cosine",
    "hag",
    "hag@sigir",
    "sdha",
    "sdha@targeted",
    "smooth-ap",
)


@pytest.fixture
def counted(
    model: HashModel, pixels: NDArray[np.uint8], known: Known, place: str
) -> Callable[..., tuple[Counter[str], AttackOutcome]]:
    """(attack, batch=4, eps="8/255") -> what was waited for in a run, and what came out."""
    targeted = replace(known, target_labels=known.labels.roll(1, 0))
    model = model.to(place)

    def run(
        attack: Attack, batch: int = 4, eps: str = "8/255"
    ) -> tuple[Counter[str], AttackOutcome]:
        threat, seeds = Threat(Eps.parse(eps)), range(len(pixels))
        with waits() as found:
            outcome = run_attack(
                attack, model, pixels, Attacker(targeted), threat, seeds, batch=batch
            )
        return found, outcome

    return run


def attack_of(text: str, **parameters: Any) -> Attack:
    found = plugins.get("attack", text, **parameters)
    assert isinstance(found, Attack)
    return found


@pytest.mark.parametrize("text", DESCENTS)
def test_a_step_more_waits_for_nothing_more(
    text: str, counted: Callable[..., tuple[Counter[str], AttackOutcome]]
) -> None:
    # The first run pays for what is made once for the process.
    _, few, many = (counted(attack_of(text, steps=steps))[0] for steps in (1, 2, 9))
    assert few == many


@pytest.mark.parametrize("text", [text for text in DESCENTS if not text.startswith("sdha")])
def test_nor_does_one_in_l2(
    text: str, counted: Callable[..., tuple[Counter[str], AttackOutcome]]
) -> None:
    _, few, many = (counted(attack_of(text, steps=steps), eps="l2:0.5")[0] for steps in (1, 2, 9))
    assert few == many


@pytest.mark.parametrize("run", range(len(auto.RUNS)))
def test_no_step_of_autos_stages_waits(
    run: int,
    counted: Callable[..., tuple[Counter[str], AttackOutcome]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, one = [], auto.RUNS[run]

    def everyone(worst: WorstCase) -> Tensor:
        return torch.arange(len(worst.images), device=worst.images.device)

    # Who is finished is asked between stages; here nobody is, so that both runs ask as often.
    monkeypatch.setattr(WorstCase, "unfinished", everyone)
    monkeypatch.setattr(auto._Search, "by_squares", lambda *_: None)
    for steps in (2, 9):
        stages = tuple(replace(stage, steps=steps) for stage in one.stages)
        monkeypatch.setattr(auto, "RUNS", (replace(one, stages=stages),))
        found.append(counted(attack_of("auto"))[0])
    assert found[0] == found[1]


@pytest.mark.parametrize("eps", ["8/255", "l2:0.5"])
def test_a_part_of_the_queries_is_read_once(
    eps: str, counted: Callable[..., tuple[Counter[str], AttackOutcome]], place: str
) -> None:
    """One reading of all flags and changes a part; the codes' come together."""
    parts = {batch: counted(attack_of("hag", steps=2), batch, eps)[0] for batch in (11, 6, 4)}
    name = "aten::_to_copy between devices" if place == "cuda" else "cpu"
    assert parts[6][name] - parts[11][name] == 1
    assert parts[4][name] - parts[11][name] == 2
    for count in parts.values():
        for read in {name, "cpu"}:
            del count[read]
    assert parts[6] == parts[4] == parts[11]


def test_the_device_changes_no_answer(
    counted: Callable[..., tuple[Counter[str], AttackOutcome]],
    run: Callable[..., AttackOutcome],
    place: str,
) -> None:
    attack = attack_of("smooth-ap", steps=3)
    found, wanted = counted(attack)[1], run(attack)
    if place == "cuda":
        assert np.array_equal(found.codes, wanted.codes)
        assert np.array_equal(found.l2, wanted.l2)


def test_what_waits_is_seen() -> None:
    """Else the tests above would show nothing."""
    value = torch.arange(4.0)
    with waits() as found:
        bool((value > 2).any())
        value[value > 2]
        value.cpu().numpy()
        value[value > 2] = 0.0
    assert found == {
        "aten::_local_scalar_dense": 1,
        "aten::index": 1,
        "cpu": 1,
    }
