"""The cross-check of proofs and attacks: which pairs are compared, and how far one may be off."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.data.protocol import Protocol
from hashbench.eps import Eps, Norm
from hashbench.plugins import Access, Aim
from hashbench.results.cell import CLEAN, AttackFacts, Cell, CellResult, Status, in_words
from hashbench.results.certificates import Violation, room, violations
from hashbench.results.metrics import certified, is_certified, is_in_range
from hashbench.results.results import Results

PROTOCOL = Protocol("tiny", 24, 3, 40, 4, "5" * 64, None)
PROTOCOLS = {PROTOCOL.hash: PROTOCOL}
MODEL = Cell(*("tiny", "csq", "small-cnn", 8, "none", CLEAN, "0", 0), PROTOCOL.hash, "7" * 64)
PROVEN = (0.5, 0.25, 1.0)


def proof(eps: str, values: Any = PROVEN, model: Cell = MODEL, **more: Any) -> CellResult:
    cell = model.certified(Eps.parse(eps))
    metrics = {"certified_map": float(np.mean(values))}
    return CellResult(cell, Status.DONE, metrics=metrics, per_query=np.array(values), **more)


def attacked(
    eps: str, worst: Any, name: str = "hag", model: Cell = MODEL, aim: Aim = Aim.UNTARGETED
) -> CellResult:
    worst_ties = np.array(worst)
    return CellResult(
        replace(model, attack=name, eps=eps),
        Status.DONE,
        metrics={"map": float(worst_ties.mean())},
        per_query=np.minimum(worst_ties + 0.3, 1.0),
        worst_ties=worst_ties,
        attack=AttackFacts(name, aim, Access.GRADIENT),
    )


def found(*cells: CellResult) -> tuple[Violation, ...]:
    return violations(cells, PROTOCOLS)


def test_an_attack_below_a_proof_is_found_with_the_query_that_is_farthest_below() -> None:
    (one,) = found(proof("8/255"), attacked("8/255", (0.45, 0.05, 1.0)))
    assert (one.beaten.query, one.beaten.queries) == (1, 2)
    assert (one.beaten.proven, one.beaten.left) == (0.25, 0.05)
    assert one.words == (
        "attack-beats-certificate: none / hag (eps 8/255, tiny, csq, small-cnn, 8 bits, seed 0): "
        "hag at eps 8/255 leaves query 1 an average precision of 5 %, and 25 % are proven at eps "
        "8/255; so it is for 1 more: an attack cannot go below a proof, so one of the two is wrong"
    )


def test_the_worst_order_of_ties_is_compared_and_not_the_expected_one() -> None:
    below = attacked("8/255", (0.45, 0.25, 1.0))
    assert (below.per_query >= np.array(PROVEN)).all()
    assert len(found(proof("8/255"), below)) == 1
    # Of a folder of another program there may be no worst order: the expected one is above it.
    assert found(proof("8/255"), replace(below, worst_ties=np.empty(0))) == ()


@pytest.mark.parametrize(
    ("attack_eps", "proof_eps", "bounded"),
    [
        ("8/255", "8/255", True),
        ("8/255", "16/510", True),  # one radius in two spellings
        ("4/255", "8/255", True),  # the larger ball holds the smaller one
        ("0", "8/255", True),
        ("0", "0/255", True),
        ("8/255", "4/255", False),
        ("8/255", "0.0313", False),
        # An L2 ball lies in the L-infinity ball of its radius, and in no smaller one.
        ("l2:8/255", "8/255", True),
        ("l2:0.01", "8/255", True),
        ("l2:0.0314", "8/255", False),
        ("l2:0.5", "8/255", False),
        ("l2:0.5", "l2:1/2", True),
        ("l2:0.4", "l2:0.5", True),
        ("l2:0.6", "l2:0.5", False),
        # An L-infinity ball lies in no L2 ball of its radius.
        ("8/255", "l2:8/255", False),
        ("1/255", "l2:0.5", False),
        ("0", "l2:0.5", True),
        ("l2:0", "0/255", True),
    ],
)
def test_a_proof_bounds_the_attacks_that_its_radius_covers(
    attack_eps: str, proof_eps: str, bounded: bool
) -> None:
    assert bool(found(proof(proof_eps), attacked(attack_eps, (0.0, 0.0, 0.0)))) is bounded


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"defense": "cgat"},
        {"training": "8" * 64},
        {"bits": 16},
        {"loss": "dph"},
        {"backbone": "resnet18"},
    ],
)
def test_a_proof_is_of_one_model(other: dict[str, Any]) -> None:
    model = replace(MODEL, **other)
    assert found(proof("8/255", model=model), attacked("8/255", (0.0, 0.0, 0.0))) == ()
    assert found(proof("8/255", model=model), attacked("8/255", (0.0, 0.0, 0.0), model=model))


def test_targeted_attacks_are_bounded_too() -> None:
    assert found(proof("8/255"), attacked("8/255", (0.0, 0.0, 0.0), aim=Aim.TARGETED))


def test_what_has_no_result_says_nothing() -> None:
    empty = np.empty(0)
    no_proof = replace(proof("8/255"), per_query=empty, metrics={}, reason="no certificate: so")
    failed = CellResult(replace(MODEL, attack="hag", eps="8/255"), Status.FAILED, "so")
    assert found(no_proof, attacked("8/255", (0.0, 0.0, 0.0)), proof("8/255"), failed) != ()
    assert found(no_proof, attacked("8/255", (0.0, 0.0, 0.0))) == ()
    assert found(proof("8/255"), failed) == ()


@given(st.integers(1, 10**7))
def test_rounding_is_no_violation_and_twice_as_much_is(items: int) -> None:
    protocol = replace(PROTOCOL, database=items)
    model = replace(MODEL, protocol=protocol.hash)
    at = proof("8/255", (0.5, 0.5), model)
    for off, count in ((0.9, 0), (2.0, 1)):
        left = attacked("8/255", (0.5 - off * room(items), 0.5), model=model)
        assert len(violations((at, left), {protocol.hash: protocol})) == count
    assert room(items) < 1e-5  # far below what a table shows


def test_every_pair_of_a_model_is_compared() -> None:
    cells = [proof(eps) for eps in ("4/255", "8/255")]
    cells += [attacked(eps, (0.0, 0.5, 1.0), name) for eps in ("4/255", "8/255") for name in "ab"]
    told = {(v.beaten.attack, str(v.beaten.eps), str(v.beaten.proven_at)) for v in found(*cells)}
    assert told == {
        *((name, "4/255", "4/255") for name in "ab"),
        *((name, "4/255", "8/255") for name in "ab"),
        *((name, "8/255", "8/255") for name in "ab"),
    }


def test_the_flag_stands_at_the_radius_of_the_attack_and_of_the_proof() -> None:
    clean = CellResult(MODEL, Status.DONE, metrics={"map": 0.9}, per_query=np.array((0.9,) * 3))
    good = (1.0, 1.0, 1.0)
    cells = (
        *(clean, proof("8/255"), attacked("4/255", (0.0, 0.5, 1.0))),
        *(attacked("8/255", good), attacked("2/255", good), attacked("16/255", (0.0, 0.0, 0.0))),
    )
    results = Results(cells, PROTOCOLS, {"7" * 64: {}})
    up = {key.eps for key, flags in results.flags.items() if "certificate" in flags[0].code}
    assert up == {"4/255", "8/255"}


def test_the_flag_is_no_other_norms() -> None:
    clean = CellResult(MODEL, Status.DONE, metrics={"map": 0.9}, per_query=np.array((0.9,) * 3))
    good = (1.0, 1.0, 1.0)
    cells = (
        *(clean, proof("0.5"), attacked("l2:1/4", (0.0, 0.5, 1.0)), attacked("0.25", good)),
        *(attacked("0.5", good), attacked("l2:0.5", good), attacked("l2:1", (0.0, 0.0, 0.0))),
    )
    results = Results(cells, PROTOCOLS, {"7" * 64: {}})
    (one,) = results.violations
    assert "hag at eps l2:1/4 leaves query 0" in one.words
    assert "50 % are proven at eps 0.5" in one.words
    up = {key.eps for key, flags in results.flags.items() if "certificate" in flags[0].code}
    assert up == {"l2:1/4", "0.5"}


@given(
    st.lists(st.fractions(-1, 1, max_denominator=50), min_size=1, max_size=9),
    st.fractions(0, 1, max_denominator=50),
    st.sampled_from(("", "l2:")),
    st.fractions(0, 1, max_denominator=50),
    st.sampled_from(("", "l2:")),
)
def test_a_ball_holds_what_lies_in_the_smaller_one(
    change: list[Fraction], inner: Fraction, inner_norm: str, outer: Fraction, outer_norm: str
) -> None:
    """By exact arithmetic: whatever change is in the one is in the other, where that is said."""

    def within(eps: Eps) -> bool:
        if eps.norm is Norm.L2:
            return sum(one**2 for one in change) <= eps.fraction**2
        return max(map(abs, change)) <= eps.fraction

    one, other = Eps.parse(f"{inner_norm}{inner}"), Eps.parse(f"{outer_norm}{outer}")
    if other.holds(one) and within(one):
        assert within(other)
    if one.norm is other.norm:
        assert other.holds(one) is (one.fraction <= other.fraction)


# Cells and names.


def test_a_cell_is_clean_attacked_or_a_certificate() -> None:
    hag = replace(MODEL, attack="hag", eps="0")
    at = MODEL.certified(Eps.parse("8/255"))
    for cell, kind in ((MODEL, (1, 0, 0)), (hag, (0, 1, 0)), (at, (0, 0, 1))):
        assert (cell.is_clean, cell.is_attacked, cell.is_certificate) == tuple(map(bool, kind))
        assert cell.clean == MODEL
    assert in_words(at).startswith("none / certificate (eps 8/255, ")


@pytest.mark.parametrize("written", ["0", "0/255", "0.0"])
def test_a_certificate_of_radius_0_is_not_the_clean_cell(written: str) -> None:
    cell = MODEL.certified(Eps.parse(written))
    assert cell.is_certificate
    assert cell.radius.fraction == 0


def test_names_of_what_is_proven() -> None:
    assert certified("map@5000") == "certified_map@5000"
    assert is_certified("certified_recall@1")
    assert not is_certified("map")
    assert is_in_range("certified_map@5000", 1.0)
    assert not is_in_range("certified_map", 1.1)
    assert not is_in_range("certified_bits", -0.1)


def test_a_proof_is_no_attack_in_frames_and_worst_cases() -> None:
    clean = CellResult(MODEL, Status.DONE, metrics={"map": 0.9}, per_query=np.array((0.9,) * 3))
    cells = (clean, attacked("8/255", (0.6, 0.3, 1.0)), proof("8/255"))
    results = Results(cells, PROTOCOLS, {"7" * 64: {}})
    assert {cell.eps for cell in results.worst_cases} == {"8/255"}
    assert not any(cell.is_certificate for cell in results.intervals)
    (row,) = results.leaderboard().to_dict("records")
    assert row["certified"] == pytest.approx(100 * np.mean(PROVEN))
    assert row["clean"] == pytest.approx(90)
    assert "certified 58.3" in repr(results)
    assert "certified" not in Results(cells[:2], PROTOCOLS, {"7" * 64: {}}).leaderboard()
