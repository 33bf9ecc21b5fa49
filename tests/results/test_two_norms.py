"""Radii of two norms among results: none is compared with another norm's; linf stands first."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.data import Protocol
from hashbench.eps import Eps
from hashbench.plugins.card import Access, Aim
from hashbench.results import AttackFacts, Cell, CellResult, Results, Status
from hashbench.results.cell import WORST_CASE
from hashbench.results.contrast import compared
from hashbench.results.flags import Code
from hashbench.zoo.attacked_images import AttackedImages

PROTOCOL = Protocol("photos", 10, 2, 20, 3, "0" * 64, None)
CLEAN = Cell("photos", "csq", "cnn", 16, "none", "none", "0", 0, PROTOCOL.hash, "1" * 64)


def attacked(eps: str, value: float, defense: str = "none") -> CellResult:
    return CellResult(
        replace(CLEAN, defense=defense, attack="hag", eps=eps),
        Status.DONE,
        metrics={"map": value},
        per_query=np.array((value, value)),
        attack=AttackFacts("hag", Aim.UNTARGETED, Access.GRADIENT),
    )


def results(*cells: CellResult) -> Results:
    models = {one.cell.clean for one in cells}
    metrics = {"map": 0.8, "chance": 0.1, "floor": 0.0}
    clean = [
        CellResult(model, Status.DONE, metrics=metrics, per_query=np.array((0.8, 0.8)))
        for model in sorted(models)
    ]
    return Results((*clean, *cells), {PROTOCOL.hash: PROTOCOL}, {"1" * 64: {}})


@pytest.mark.parametrize(
    ("smaller", "larger", "up"),
    [
        ("8/255", "24/255", True),
        ("l2:0.5", "l2:2", True),
        ("24/255", "l2:2", False),
        ("l2:0.01", "24/255", False),
        ("0.5", "l2:0.6", False),
    ],
)
def test_a_larger_radius_is_one_of_the_same_norm(smaller: str, larger: str, up: bool) -> None:
    flags = results(attacked(smaller, 0.2), attacked(larger, 0.5)).flags
    at = flags.get(replace(CLEAN, attack=WORST_CASE, eps=larger), ())
    assert [one.code for one in at] == [Code.LARGER_EPS_HELPS] * up
    assert replace(CLEAN, attack=WORST_CASE, eps=smaller) not in flags


def test_an_attack_of_radius_0_changes_nothing_in_any_norm() -> None:
    flags = results(attacked("l2:0", 0.7)).flags
    (found,) = (one for several in flags.values() for one in several)
    assert found.code is Code.EPS_0_CHANGES_CODES
    assert not results(attacked("l2:0", 0.8)).flags


def test_rows_and_comparisons_of_linf_stand_first() -> None:
    radii = ("l2:0.001", "24/255", "l2:2", "4/255")
    found = results(*(attacked(eps, 0.5, name) for eps in radii for name in ("none", "cgat")))
    in_order = ["4/255", "24/255", "l2:0.001", "l2:2"]
    assert list(dict.fromkeys(found.leaderboard()["eps"])) == in_order
    assert [one.setting.eps for one in compared(found, "none", "cgat")] == in_order


RADII = st.builds(
    lambda norm, share: Eps.parse(f"{norm}{share}"),
    st.sampled_from(("", "l2:", "linf:")),
    st.fractions(0, 1, max_denominator=30),
)


@given(st.lists(RADII, max_size=6))
def test_sorted_radii_are_those_of_linf_then_those_of_l2(radii: list[Eps]) -> None:
    order = sorted(radii)
    assert [one.norm.value for one in order] == sorted(
        (one.norm.value for one in order), key=["linf", "l2"].index
    )
    for one, other in pairwise(order):
        assert one <= other
        assert one.norm is not other.norm or one.fraction <= other.fraction
    assert all(Eps.parse(str(one)) == Eps.parse(one.canonical) == one for one in radii)


@given(
    st.lists(st.integers(0, 255), min_size=4, max_size=4),
    st.lists(st.integers(0, 255), min_size=4, max_size=4),
    st.fractions(0, 2, max_denominator=255),
)
def test_a_rounded_image_is_outside_of_the_l2_ball_exactly(
    clean: list[int], rounded: list[int], radius: Fraction
) -> None:
    fields: dict[str, Any] = dict.fromkeys(AttackedImages.__dataclass_fields__)
    fields["cell"] = replace(CLEAN, attack="hag", eps=f"l2:{radius}")
    fields["images"] = np.zeros((1, 1, 2, 2), dtype=np.float32)
    for name, values in (("clean", clean), ("rounded", rounded)):
        fields[name] = np.array(values, dtype=np.uint8).reshape(1, 1, 2, 2)
    squares = sum(Fraction(a - b, 255) ** 2 for a, b in zip(clean, rounded, strict=True))
    assert AttackedImages(**fields).outside.tolist() == [squares > radius**2]
