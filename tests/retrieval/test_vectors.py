"""The numbers that the public research repositories compute, from the reference vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from hashbench.retrieval import (
    Ties,
    average_precision,
    center_codes,
    mean_average_precision,
    precision_at,
    precision_recall_curve,
)

Vectors = Callable[[str], Mapping[str, Any]]


def parts(stored: Mapping[str, Any], case: str) -> list[Any]:
    return [stored[f"{case}_{name}"] for name in ("qB", "dB", "qL", "dL")]


@pytest.mark.parametrize("case", ["c0", "c1", "c2", "c6"])
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(
    ("entry", "top_k"),
    [
        ("CalcMap", None),
        ("CalcTopMap10", 10),
        ("CalcTopMap100", 100),
        ("CalcTopMap5000", 5000),
        ("saat_cal_map100", 100),
        ("saat_cal_map5000", 5000),
    ],
)
def test_mean_average_precision(
    vectors: Vectors, case: str, kind: str, entry: str, top_k: int | None
) -> None:
    stored = vectors("metrics")
    query_codes, codes, *labels = parts(stored, case)
    got = mean_average_precision(
        query_codes.astype(kind), codes.astype(kind), *labels, top_k=top_k, ties="stable"
    )
    assert got == pytest.approx(float(stored[f"{case}_{entry}_{kind}_stable"]), abs=1e-12)


@pytest.mark.parametrize("case", ["c0", "c1", "c2", "c6"])
def test_the_other_measures(vectors: Vectors, case: str) -> None:
    stored = vectors("metrics")
    problem = parts(stored, case)
    for length, wanted in stored[f"{case}_saat_top_n_float64_stable"]:
        got = precision_at(*problem, top_k=int(length), ties="stable").mean()
        assert got == pytest.approx(wanted, abs=1e-12)
    curve = stored[f"{case}_saat_pr_float64_stable"]
    mine = precision_recall_curve(
        *problem, levels=curve[:, 0].tolist(), ties="stable", rounding="down"
    )
    np.testing.assert_allclose(mine.precision, curve[:, 1], rtol=0, atol=1e-12)
    # That repository leaves out the queries without a hit in the list.
    scores = average_precision(*problem, top_k=30, ties="stable")
    hit = precision_at(*problem, top_k=30, ties="stable") > 0
    wanted = float(stored[f"{case}_dhta_map_R30_stable"])
    assert scores[hit].mean() == pytest.approx(wanted, abs=1e-12)


def test_demonstration(vectors: Vectors) -> None:
    stored = vectors("metrics")
    problem = parts(stored, "demo")
    for entry, top_k in (("CalcMap", None), ("CalcTopMap5", 5)):
        got = mean_average_precision(*problem, top_k=top_k, ties="stable")
        assert got == pytest.approx(float(stored[f"demo_{entry}_stable"]), abs=1e-12)


@pytest.mark.parametrize("ties", list(Ties))
def test_without_ties_every_rule_reproduces_the_repositories(vectors: Vectors, ties: Ties) -> None:
    stored = vectors("metrics")
    problem = parts(stored, "notie")
    for entry, top_k in (("CalcMap", None), ("CalcTopMap10", 10)):
        got = mean_average_precision(*problem, top_k=top_k, ties=ties)
        assert got == pytest.approx(float(stored[f"notie_{entry}"]), abs=1e-12)


def test_the_unstable_sort_lies_between_worst_and_best(vectors: Vectors) -> None:
    stored = vectors("metrics")
    for case in ("c0", "c1", "c2", "c6"):
        worst, best = (
            mean_average_precision(*parts(stored, case), top_k=100, ties=ties)
            for ties in (Ties.WORST, Ties.BEST)
        )
        for kind in ("float32", "float64"):
            assert worst <= stored[f"{case}_CalcTopMap100_{kind}_default"] <= best


@pytest.mark.parametrize("case", ["single", "multi", "degenerate", "single_tiny_ties"])
@pytest.mark.parametrize(
    ("weighting", "entry"), [("uniform", "cgat_center"), ("cosine", "saat_mainstay")]
)
def test_center_codes(vectors: Vectors, case: str, weighting: str, entry: str) -> None:
    stored = vectors("center_codes")
    got = center_codes(
        stored[f"{case}_query_labels"],
        stored[f"{case}_train_codes"],
        stored[f"{case}_train_labels"],
        weighting=weighting,
    )
    wanted = stored[f"{case}_{entry}"]
    differ = got != wanted
    if weighting == "uniform":
        assert not differ.any()
    else:
        # The repository's float32 sum misses an exact tie by about 1e-8, and takes its sign.
        assert (got[differ] == 0).all()
        assert differ.mean() < 0.05
