"""Results side by side and in a few lines: every number is the cells' own, every text is text."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hashbench.data import Protocol
from hashbench.plugins.card import Access, Aim
from hashbench.results import AttackFacts, Cell, CellResult, Results, Status
from hashbench.results.asked import Asked

PROTOCOL = Protocol("photos", 10, 2, 20, 3, "0" * 64, None)

CLEAN = Cell("photos", "csq", "cnn", 16, "none", "none", "0", 0, PROTOCOL.hash, "1" * 64)


def clean(defense: str, seed: int, value: float, **metrics: float) -> CellResult:
    cell = replace(CLEAN, defense=defense, seed=seed)
    return CellResult(
        cell, Status.DONE, metrics={"map": value, "chance": 0.1, "floor": 0.0, **metrics}
    )


def attacked(
    defense: str, seed: int, attack: str, values: tuple[float, ...], eps: str = "8/255"
) -> CellResult:
    aim = Aim.TARGETED if attack == "dhta" else Aim.UNTARGETED
    cell = replace(CLEAN, defense=defense, seed=seed, attack=attack, eps=eps)
    mean = float(np.mean(values))
    return CellResult(
        cell,
        Status.DONE,
        metrics={"map": mean, "t-map": 1 - mean},
        per_query=np.array(values),
        attack=AttackFacts(attack, aim, Access.NONE if attack == "noise" else Access.GRADIENT),
    )


def results(*cells: CellResult, **changes: Any) -> Results:
    given: dict[str, Any] = {
        "cells": tuple(sorted(cells, key=lambda result: result.cell)),
        "protocols": {PROTOCOL.hash: PROTOCOL},
        "trainings": {"1" * 64: {}},
    }
    return Results(**{**given, **changes})


TWO_SEEDS = (
    clean("none", 0, 0.8),
    clean("none", 1, 0.6),
    clean("cgat", 0, 0.7),
    attacked("none", 0, "hag", (0.2, 0.6)),
    attacked("none", 1, "hag", (0.4, 0.2)),
    attacked("none", 0, "noise", (0.7, 0.5)),
    attacked("none", 1, "noise", (0.5, 0.5)),
    attacked("none", 0, "dhta", (0.3, 0.5)),
    attacked("none", 1, "dhta", (0.5, 0.5)),
    attacked("cgat", 0, "hag", (0.5, 0.7)),
)


def test_one_row_is_the_mean_over_the_seeds_of_a_model() -> None:
    frame = results(*TWO_SEEDS).leaderboard()
    assert list(frame.columns) == [
        "dataset",
        "loss",
        "backbone",
        "bits",
        "eps",
        "defense",
        "seeds",
        "clean",
        "noise",
        "dhta (t-mAP)",
        "hag",
        "worst case",
        "chance",
        "flagged",
        "protocol",
        "training",
        "worst case low",
        "worst case high",
    ]
    assert list(frame.defense) == ["cgat", "none"]  # the highest worst case first
    none = frame.iloc[1]
    assert (none.seeds, none.eps, none.bits) == (2, "8/255", 16)
    # The mean of 80 and 60; of 40 and 30; of 60 and 50; of 1 - 0.4 and 1 - 0.5; per query the least
    # of hag and noise: (0.2, 0.5) and (0.4, 0.2).
    assert none.clean == pytest.approx(70, abs=1e-12)
    assert none.hag == pytest.approx(35, abs=1e-12)
    assert none.noise == pytest.approx(55, abs=1e-12)
    assert none["dhta (t-mAP)"] == pytest.approx(55, abs=1e-12)
    assert none["worst case"] == pytest.approx((35 + 30) / 2, abs=1e-12)
    assert none.chance == pytest.approx(10, abs=1e-12)
    assert math.isnan(frame.iloc[0].noise)
    assert frame.iloc[0]["worst case"] == pytest.approx(60, abs=1e-12)


def test_what_lacks_in_one_seed_is_no_number() -> None:
    failed = replace(TWO_SEEDS[4], status=Status.FAILED, reason="it broke", metrics={})
    frame = results(*TWO_SEEDS[:4], failed, *TWO_SEEDS[5:]).leaderboard()
    [none] = frame[frame.defense == "none"].to_dict("records")
    assert math.isnan(none["hag"])
    assert math.isnan(none["worst case"])
    assert none["clean"] == pytest.approx(70, abs=1e-12)
    assert list(frame.defense) == ["cgat", "none"]


def test_every_radius_is_a_row_and_a_model_that_nobody_attacked_too() -> None:
    more = (attacked("cgat", 0, "hag", (0.1, 0.3), "16/255"), clean("saat", 0, 0.9))
    frame = results(*TWO_SEEDS, *more).leaderboard()
    assert list(zip(frame.eps, frame.defense, strict=True)) == [
        ("0", "saat"),
        ("8/255", "cgat"),
        ("8/255", "none"),
        ("16/255", "cgat"),
    ]
    assert math.isnan(frame["worst case"][0])


def test_flagged_models_are_said_and_stand_last() -> None:
    at_chance = (clean("bad", 0, 0.1), attacked("bad", 0, "hag", (0.9, 0.9)))
    frame = results(*TWO_SEEDS, *at_chance).leaderboard()
    assert list(frame.defense) == ["cgat", "none", "bad"]
    assert "clean-at-chance" in frame.flagged[2]
    assert "! clean-at-chance" in repr(results(*at_chance))


def test_a_summary_says_what_and_where_and_who_leads() -> None:
    cells = frozenset(result.cell for result in TWO_SEEDS)
    failed = replace(TWO_SEEDS[-1], status=Status.FAILED, reason="it broke", metrics={})
    found = results(*TWO_SEEDS[:-1], failed, asked=(Asked("mine", "quick", cells),))
    assert repr(found).splitlines() == [
        "Results: 10 cells, 1 failed; suite quick; folder mine",
        "  photos, csq, cnn, 16 bits, eps 8/255 (mAP in percent)",
        "    none  clean 70.0  worst case 32.5  of 3 attacks",
        "    cgat  clean 70.0  worst case -  of 1 attack",
        "  All of it: .leaderboard(), .to_frame(); a picture: .plot()",
    ]
    assert str(found) == repr(found)


def test_a_summary_of_many_is_short() -> None:
    many = [
        one
        for number in range(300)
        for one in (
            clean(f"defense-{number}-" + "x" * 900, 0, 0.5),
            attacked(f"defense-{number}-" + "x" * 900, 0, "hag", (0.2, 0.2), f"{number % 9}/255"),
        )
    ]
    found = results(*many)
    assert len(repr(found)) < 2_000
    assert len(found._repr_html_()) < 3_000
    assert "more models" in repr(found)


def test_no_cells_and_no_frame() -> None:
    assert repr(results()) == "Results: 0 cells"
    assert results().leaderboard().empty


def test_texts_of_any_origin_are_texts() -> None:
    name = "<script>alert(1)</script>\n\x1b[31m"
    cells = (clean(name, 0, 0.8), attacked(name, 0, "hag", (0.2, 0.6)))
    asked = (Asked("<b>folder</b>\n", "<i>suite</i>", frozenset()),)
    found = results(*cells, asked=asked)
    shown = found._repr_html_()
    assert "<script" not in shown
    assert "<b>" not in shown
    assert "<i>" not in shown
    assert "&lt;script&gt;" in shown
    assert "\x1b" not in repr(found) + shown
    assert len(repr(found).splitlines()) == 4
