"""auto: a worst case it can be held to, within its passes, whatever batch, scale or gradient."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.attacking import (
    AttackedModel,
    Attacker,
    AttackOutcome,
    Eps,
    Goal,
    QueryRandom,
    Threat,
    run_attack,
)
from hashbench.attacking.smooth_precision import KnownRanking
from hashbench.attacking.worst_case import WorstCase
from hashbench.hashing import HashModel
from hashbench.plugins import Attack
from hashbench.plugins.parameters import field_types
from hashbench.retrieval import average_precision, center_codes
from support.exact import FineModel
from support.knowing import known_of
from support.recorded import Recorded

Linear = Callable[..., HashModel]
Build = Callable[..., Attack]

AUTO: Any = importlib.import_module("hashbench.attacks.auto")
SMOOTH_AP: Any = importlib.import_module("hashbench.attacks.smooth_ap")
EPS = "24/255"


class Scene:
    """Queries of four classes against a model; an attacker knows 40 training codes."""

    def __init__(self, model: HashModel, queries: int, shape: tuple[int, ...] = (1, 5, 5)) -> None:
        self.model = model
        draw = np.random.default_rng(8)
        self.pixels: NDArray[np.uint8] = draw.integers(0, 256, (queries, *shape), dtype=np.uint8)
        train = torch.from_numpy(draw.random((40, *shape), dtype=np.float32))
        rows = np.eye(4, dtype=np.uint8)
        labels = rows[np.arange(queries) % 4]
        self.known = known_of(labels, model.codes(train).numpy(), rows[np.arange(40) % 4])

    @property
    def clean(self) -> Tensor:
        return torch.from_numpy(self.pixels).float() / 255

    def run(
        self, attack: Attack | None = None, batch: int = 7, eps: str = EPS, seed: int = 0
    ) -> tuple[AttackOutcome, Tensor]:
        seen = Recorded(attack or AUTO.Auto())
        seeds = [1000 * seed + query for query in range(len(self.pixels))]
        threat = Threat(Eps.parse(eps))
        outcome = run_attack(
            seen, self.model, self.pixels, Attacker(self.known), threat, seeds, batch=batch
        )
        return outcome, seen.images

    def known_precision(self, codes: NDArray[np.int8]) -> NDArray[np.float64]:
        known = self.known
        return average_precision(codes, known.train_codes, known.labels, known.train_labels)


@pytest.fixture(scope="module")
def linear(linear_hash: Linear) -> Callable[..., Scene]:
    """(queries, bits=10, scale=1) -> a scene with a linear hash."""

    def build(queries: int, bits: int = 10, scale: float = 1.0) -> Scene:
        rng = torch.Generator().manual_seed(7)
        weight = scale * (torch.rand(bits, 1, 5, 5, generator=rng) - 0.5)
        return Scene(linear_hash(weight, -weight.flatten(1).sum(dim=1) / 2), queries)

    return build


def test_it_takes_no_parameter_and_at_most_three_times_100_steps() -> None:
    assert field_types(AUTO.Auto) == {}
    assert AUTO.Auto().passes() <= 295


def test_passes_are_what_it_says_and_no_more(linear: Callable[..., Scene]) -> None:
    scene = linear(14)
    outcome, _ = scene.run()
    limit = AUTO.Auto().passes()
    centers, clean = scene.known.center_codes.numpy(), scene.model.codes(scene.clean).numpy()
    floors = scene.known_precision(-np.where(centers == 0, clean, centers).astype(np.int8))
    open_ = scene.known_precision(outcome.codes) > floors
    assert outcome.forwards <= limit * 14
    assert outcome.backwards < outcome.forwards
    # Whoever is not at the floor in the end went all the way.
    assert 0 < open_.sum() < 14
    assert outcome.forwards >= limit * open_.sum()


def test_what_it_returns_scores_no_more_than_any_candidate(
    linear: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[Tensor, Tensor]] = []

    class Spy(WorstCase):
        def consider(self, queries: Tensor, images: Tensor, codes: Tensor) -> None:
            tried.append((queries, codes))
            super().consider(queries, images, codes)

    monkeypatch.setattr(AUTO, "WorstCase", Spy)
    scene = linear(20)
    outcome, _ = scene.run(batch=20)
    lowest = scene.known_precision(outcome.codes)
    assert len(tried) == 1 + sum(len(run.stages) for run in AUTO.RUNS)
    assert sorted(tried[0][0].tolist()) == list(range(20)), "the clean image comes first"
    reached = np.full(20, np.inf)
    for queries, codes in tried:
        whole = outcome.codes.copy()
        whole[queries.numpy()] = codes.to(torch.int8).numpy()
        scores = scene.known_precision(whole)[queries.numpy()]
        assert (lowest[queries.numpy()] <= scores).all()
        reached[queries.numpy()] = np.minimum(reached[queries.numpy()], scores)
    assert np.array_equal(reached, lowest), "and one of them scores just that"


@pytest.mark.parametrize("batch", [1, 3])
def test_a_query_is_attacked_alike_in_any_batch(batch: int, linear: Callable[..., Scene]) -> None:
    scene = linear(5)
    # One query is relevant to nothing, so finished at once; others reach their floor midway.
    labels = scene.known.labels.clone()
    labels[2] = 0
    scene.known = known_of(labels, scene.known.train_codes, scene.known.train_labels)
    together, apart = scene.run(batch=5), scene.run(batch=batch)
    assert torch.equal(together[1], apart[1])
    assert together[0].forwards == apart[0].forwards
    assert together[0].backwards == apart[0].backwards


def test_seeds_and_nothing_else_decide(linear: Callable[..., Scene]) -> None:
    scene = linear(7)
    (_, first), (_, second), (_, other) = scene.run(), scene.run(), scene.run(seed=1)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("scale", [1000.0, 1e-3])
def test_the_scale_of_the_logits_plays_no_part(
    scale: float, linear: Callable[..., Scene], attack_named: Build
) -> None:
    plain, scaled = linear(20), linear(20, scale=scale)
    exact = linear(20, scale=2.0 ** round(math.log2(scale)))
    (one, images), (two, _), (_, others) = (each.run(batch=20) for each in (plain, scaled, exact))
    assert torch.equal(images, others)  # by a power of two nothing is rounded otherwise
    reached, again = (plain.known_precision(each.codes).mean() for each in (one, two))
    assert abs(reached - again) < 0.01
    if scale > 1:
        stands_still, _ = scaled.run(attack_named("pgd-hamming"), batch=20)
        assert plain.known_precision(stands_still.codes).mean() > reached + 0.05


def test_it_is_stronger_than_each_of_the_others(
    linear: Callable[..., Scene], attack_named: Build
) -> None:
    scene = linear(60, bits=16)
    worst = scene.known_precision(scene.run(batch=60)[0].codes)
    rivals = [attack_named(name) for name in ("pgd-hamming", "mainstay", "hag", "sdha")]
    rivals += [SMOOTH_AP.SmoothAP(), SMOOTH_AP.SmoothAP(steps=500)]
    for rival in rivals:
        reached = scene.known_precision(scene.run(rival, batch=60)[0].codes)
        assert worst.mean() <= reached.mean() + 1e-9, rival


class Quantised(FineModel):
    """Sees its images in sixteen shades: no gradient comes through."""

    def logits(self, images: Tensor) -> Tensor:
        return super().logits((images * 15).round() / 15)


def test_a_model_without_gradient_is_searched_at_random(linear: Callable[..., Scene]) -> None:
    scene = linear(20)
    open_model = scene.model
    open_model.__class__ = Quantised
    outcome, images = scene.run(batch=20)
    assert outcome.zero_gradients == 1.0
    assert outcome.forwards <= AUTO.Auto().passes() * 20
    before = scene.known_precision(open_model.codes(scene.clean).numpy())
    after = scene.known_precision(outcome.codes)
    assert (after <= before + 1e-12).all()
    assert after.mean() < 0.85 * before.mean()
    # One batch or many, the squares are the same.
    assert torch.equal(images, scene.run(batch=13)[1])


class Fading(FineModel):
    """Gives a gradient for so many passes, and none from then on."""

    left: int

    def logits(self, images: Tensor) -> Tensor:
        self.left -= 1
        logits = super().logits(images)
        return logits if self.left > 0 else logits.detach() + 0 * images.sum()


@pytest.mark.parametrize("passes", [1, 50, 140, 170, 230])
def test_passes_stay_within_bounds_whenever_the_gradient_fails(
    passes: int, linear: Callable[..., Scene]
) -> None:
    scene = linear(8)
    scene.model.__class__ = Fading
    scene.model.left = passes  # type: ignore[assignment]
    outcome, _ = scene.run(batch=8)
    assert max(outcome.forwards, outcome.backwards) <= AUTO.Auto().passes() * 8


class Trembling(FineModel):
    """Sees its images under noise, anew in each pass."""

    draws = 3

    def logits(self, images: Tensor) -> Tensor:
        return super().logits(images + 0.05 * torch.randn(images.shape))


def test_at_a_model_that_draws_the_end_of_the_long_descent_is_returned(
    linear: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[Tensor, Tensor, Tensor]] = []
    monkeypatch.setattr(AUTO, "WorstCase", _spy(tried))
    scene = linear(12)
    scene.model.__class__ = Trembling
    with torch.random.fork_rng():
        torch.manual_seed(0)
        outcome, images = scene.run(batch=12)
    assert outcome.forwards <= AUTO.Auto().passes() * 3 * 12
    assert outcome.forwards >= (AUTO.Auto().passes() - 1) * 3 * 12, "nobody is finished by luck"
    [(queries, ends, codes)] = tried
    assert torch.equal(images[queries], ends)
    assert len(queries) == 12
    assert codes.shape == (3, 12, 10)


class TremblingShades(Trembling):
    """The same in sixteen shades: no gradient comes through."""

    def logits(self, images: Tensor) -> Tensor:
        return super().logits((images * 15).round() / 15)


def test_at_a_model_that_draws_squares_are_judged_by_the_mean_over_the_draws(
    linear: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[Tensor, Tensor, Tensor]] = []
    monkeypatch.setattr(AUTO, "WorstCase", _spy(tried))
    scene = linear(6)
    scene.model.__class__ = TremblingShades
    with torch.random.fork_rng():
        torch.manual_seed(0)
        outcome, images = scene.run(batch=6)
    assert outcome.forwards <= AUTO.Auto().passes() * 3 * 6
    assert len(tried) == AUTO.DRAWN_RUNS[1].passes
    means = [
        np.mean([scene.known_precision(drawn.numpy().astype(np.int8)) for drawn in codes], axis=0)
        for queries, _, codes in tried
        if queries.tolist() == list(range(6))
    ]
    assert len(means) == len(tried)
    first = np.argmin(np.round(means, 12), axis=0)
    best = torch.stack([tried[number][1][query] for query, number in enumerate(first)])
    assert torch.equal(images, best)


def _spy(tried: list[tuple[Tensor, Tensor, Tensor]]) -> type[WorstCase]:
    class Spy(WorstCase):
        def consider(self, queries: Tensor, images: Tensor, codes: Tensor) -> None:
            tried.append((queries, images.clone(), codes))
            super().consider(queries, images, codes)

    return Spy


def test_queries_at_their_floor_are_left_alone(linear: Callable[..., Scene]) -> None:
    scene = linear(6)
    nothing = torch.zeros_like(scene.known.labels)
    scene.known = known_of(nothing, scene.known.train_codes, scene.known.train_labels)
    outcome, images = scene.run()
    assert (outcome.forwards, outcome.backwards) == (6, 0)
    assert torch.equal(images, scene.clean)
    everything = torch.ones_like(nothing)
    rows = torch.ones_like(scene.known.train_labels)
    scene.known = known_of(everything, scene.known.train_codes, rows)
    assert scene.run()[0].backwards == 0, "1 is all that a code can score then"


def test_eps_0_gives_back_the_images_bit_for_bit(linear: Callable[..., Scene]) -> None:
    scene = linear(5)
    assert torch.equal(scene.run(eps="0")[1], scene.clean)


@pytest.mark.parametrize("fill", [0.0, math.nan, math.inf])
def test_a_model_of_one_value_gives_images_in_the_ball(
    fill: float, linear: Callable[..., Scene]
) -> None:
    scene = linear(3)
    with torch.no_grad():
        scene.model.hash_layer.weight.fill_(fill)
        scene.model.hash_layer.bias.fill_(fill)
    # Asked directly: the harness refuses a model of NaN, and not for the attack's sake.
    found = AUTO.Auto().perturb(
        AttackedModel(scene.model),
        scene.clean,
        Goal("auto", scene.known, with_labels=True, with_training=True),
        Threat(Eps.parse(EPS)),
        QueryRandom(range(3)),
    )
    assert ((found - scene.clean).abs() <= 24 / 255 + 1e-6).all()


def test_one_known_image_and_one_bit_are_enough(linear: Callable[..., Scene]) -> None:
    scene = linear(4, bits=1)
    known = scene.known
    scene.known = known_of(known.labels, known.train_codes[:1], known.train_labels[:1])
    outcome, images = scene.run()
    assert set(np.unique(outcome.codes)) <= {-1, 1}
    assert images.isfinite().all()


@pytest.mark.parametrize("side", [1.02, 0.98])
def test_one_bit_flips_just_above_its_threshold_and_never_below(
    side: float, linear_hash: Linear
) -> None:
    # |w . x + b| / ||w||_1 is the smallest radius that turns the bit; the box does not bind.
    rng = torch.Generator().manual_seed(1)
    weight = torch.rand(1, 2, 3, 3, generator=rng) - 0.5
    length = float(weight.abs().sum())
    pixels = np.full((1, 2, 3, 3), 128, dtype=np.uint8)
    for lead in (-0.1, 0.05, 0.15):
        bias = lead * length - 128 / 255 * float(weight.sum())
        model = linear_hash(weight, torch.tensor([bias]))
        code = np.array([[1 if lead > 0 else -1]], dtype=np.int8)
        rows = np.eye(2, dtype=np.uint8)
        attacker = Attacker(known_of(rows[:1], np.concatenate([code, -code]), rows))
        threat = Threat(Eps.parse(side * abs(lead)))
        found = run_attack(AUTO.Auto(), model, pixels, attacker, threat, [0], batch=1)
        assert (found.codes != code).all() == (side > 1)


@pytest.mark.parametrize("seed", range(5))
def test_wrong_codes_are_the_cheapest_of_all_label_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.choice([-1, 1], (30, 9)).astype(np.int8)
    rows = (rng.random((30, 5)) < 0.4).astype(np.uint8)
    labels = (rng.random((6, 5)) < 0.4).astype(np.uint8)
    labels[0] = 1  # shares a label with every row that has one
    logits = rng.normal(size=(6, 9)).astype(np.float32)
    otherwise = torch.full((6, 9), 0.5)
    found = AUTO.nearest_wrong_codes(
        torch.from_numpy(logits), _goal(labels, codes, rows), otherwise, 3
    )
    distinct = np.unique(rows[rows.any(axis=1)], axis=0)
    centers = center_codes(distinct, codes, rows)
    for query in range(6):
        offers = {
            tuple(map(float, center)): _cost(logits[query], center)
            for row, center in zip(distinct, centers, strict=True)
            if not (row & labels[query]).any() and center.any()
        }
        chosen = [tuple(code) for code in found[query].tolist()]
        # Two rows may have one center, and two centers one cost.
        costs = [offers.get(code, math.inf) for code in chosen]
        assert costs == sorted(costs)
        assert costs[0] == min(offers.values(), default=math.inf)
        left = [cost for code, cost in offers.items() if code not in chosen]
        assert not left or max(costs) <= min(left)
        assert all(code == (0.5,) * 9 for code in chosen if code not in offers)
    assert found[0].eq(0.5).all()


def test_the_first_of_equals_stays_and_the_floor_ends_a_query() -> None:
    labels, rows = torch.eye(2), torch.eye(2)
    codes = torch.tensor([[1.0, 1, 1], [-1, -1, -1]])
    worst = WorstCase(KnownRanking(labels, codes, rows), torch.zeros(2, 1, 1, 1), -codes)
    assert worst.unfinished().tolist() == [0, 1]
    both = torch.arange(2)
    worst.consider(both, torch.full((2, 1, 1, 1), 0.1), codes)
    assert worst.scores.tolist() == [1.0, 1.0]
    # Two of three bits turned: the same order as with all three, 1/2; the next one is no better.
    worst.consider(both[1:], torch.full((1, 1, 1, 1), 0.2), torch.tensor([[1.0, 1, -1]]))
    worst.consider(both[1:], torch.full((1, 1, 1, 1), 0.3), torch.tensor([[1.0, 1, 1]]))
    assert worst.images.flatten().tolist() == pytest.approx([0.1, 0.2])
    assert worst.scores.tolist() == [1.0, 0.5]
    assert worst.unfinished().tolist() == [0]


def _cost(logits: NDArray[np.float32], center: NDArray[np.int8]) -> float:
    return float(np.abs(logits)[(logits * center) < 0].sum())


def _goal(labels: NDArray[np.uint8], codes: NDArray[np.int8], rows: NDArray[np.uint8]) -> Goal:
    return Goal("auto", known_of(labels, codes, rows), with_labels=True, with_training=True)
