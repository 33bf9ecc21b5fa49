"""smooth-ap: its loss against slow, literal forms of it; the attack where the answer is known."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from hashbench.attacking import (
    AttackedModel,
    Attacker,
    Eps,
    Goal,
    Known,
    QueryRandom,
    Threat,
    run_attack,
)
from hashbench.attacking.annealed_descent import AnnealedDescent, logit_scale
from hashbench.attacking.smooth_precision import KnownRanking, SmoothPrecision, smoothing_kernel
from hashbench.errors import UsageError
from hashbench.hashing import HashModel
from hashbench.plugins import Attack
from hashbench.retrieval import average_precision
from support.knowing import known_of
from support.recorded import Recorded

Linear = Callable[..., HashModel]

SmoothAP: Any = importlib.import_module("hashbench.attacks.smooth_ap").SmoothAP


class Drawn:
    """Random queries and known codes; the last query is relevant to nothing."""

    def __init__(self, seed: int, queries: int, items: int, bits: int, classes: int = 3) -> None:
        rng = np.random.default_rng(seed)
        # Few distinct codes, so that pairs repeat.
        pool = rng.choice([-1, 1], (max(2, items // 2), bits))
        self.codes = pool[rng.integers(0, len(pool), items)].astype(np.int8)
        self.code_labels = (rng.random((items, classes)) < 0.5).astype(np.uint8)
        self.labels = (rng.random((queries, classes)) < 0.5).astype(np.uint8)
        self.labels[-1] = 0
        self.outputs = rng.uniform(-1, 1, (queries, bits))

    @property
    def ranking(self) -> KnownRanking:
        return KnownRanking(*map(_float, (self.labels, self.codes, self.code_labels)))

    def relevant(self, query: int) -> list[bool]:
        return [bool((self.labels[query] & row).any()) for row in self.code_labels]


def slow_smooth(outputs: Tensor, codes: Tensor, relevant: list[bool], width: float) -> Tensor:
    """One query, item by item and bin by bin, in the arithmetic of `outputs`."""
    bits = len(outputs)
    hits = [outputs.new_zeros(()) for _ in range(bits + 1)]
    every = [outputs.new_zeros(()) for _ in range(bits + 1)]
    for code, counts in zip(codes, relevant, strict=True):
        distance = (bits - (outputs * code).sum()) / 2
        for place in range(bits + 1):
            share = (1 - (distance - place).abs()).clamp(min=0)
            for other in range(bits + 1):
                spread = share * _kernel(place, other, bits, width)
                every[other] = every[other] + spread
                if counts:
                    hits[other] = hits[other] + spread
    value = outputs.new_zeros(())
    for place in range(bits + 1):
        so_far = torch.stack(every[: place + 1]).sum()
        if so_far > 0:
            value = value + hits[place] * torch.stack(hits[: place + 1]).sum() / so_far
    return value / max(1, sum(relevant))


def _kernel(place: int, other: int, bits: int, width: float) -> float:
    if width == 0:
        return float(place == other)
    weights = [math.exp(-((place - bin_) ** 2) / (2 * width**2)) for bin_ in range(bits + 1)]
    return weights[other] / sum(weights)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    items=st.integers(1, 12),
    bits=st.integers(1, 7),
    width=st.sampled_from([0.0, 0.4, 1.0, 2.0, 30.0]),
)
def test_value_and_gradient_are_those_of_the_formula(
    seed: int, items: int, bits: int, width: float
) -> None:
    known = Drawn(seed, queries=3, items=items, bits=bits)
    point = _float(known.outputs).requires_grad_(True)
    found = SmoothPrecision(known.ranking, width)(point)
    weights = torch.tensor([1.0, -2.0, 0.5])
    (gradient,) = torch.autograd.grad((weights * found).sum(), point)

    exact = torch.from_numpy(known.outputs).requires_grad_(True)
    codes = torch.from_numpy(known.codes).double()
    wanted = torch.stack(
        [slow_smooth(row, codes, known.relevant(query), width) for query, row in enumerate(exact)]
    )
    (wanted_gradient,) = torch.autograd.grad((weights * wanted).sum(), exact, allow_unused=True)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradient.double(), wanted_gradient, rtol=2e-3, atol=1e-5)


def test_the_gradient_is_the_slope_between_neighbouring_points() -> None:
    known = Drawn(5, queries=4, items=40, bits=9)
    precision = SmoothPrecision(known.ranking, 2.0)
    center = _float(known.outputs)
    _, gradient = precision.value_and_gradient(center)
    for bit in range(9):
        moved = torch.zeros_like(center)
        moved[:, bit] = 1e-2
        slope = (precision(center + moved) - precision(center - moved)) / 2e-2
        torch.testing.assert_close(slope, gradient[:, bit], rtol=0.05, atol=2e-4)


def test_at_the_corners_and_unsmoothed_it_is_the_form_computed_by_hand() -> None:
    # Distances 0 (relevant), 1 (relevant and not), 2 (not, twice), 3 (relevant):
    # r = 1 1 0 1, n = 1 2 2 1, so R/N = 1/1, 2/3, 2/5, 3/6 and the value (1 + 2/3 + 1/2) / 3.
    query = torch.ones(1, 3)
    codes = [[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, -1, 1], [-1, 1, -1], [-1, -1, -1]]
    labels = [[1, 0], [1, 1], [0, 1], [0, 1], [0, 1], [1, 0]]
    ranking = KnownRanking(_float([[1, 0]]), _float(codes), _float(labels))
    value = SmoothPrecision(ranking, 0.0)(query)
    assert float(value) == pytest.approx((1 + 2 / 3 + 1 / 2) / 3, abs=1e-6)
    # A kernel far narrower than a bin is none.
    assert float(SmoothPrecision(ranking, 0.05)(query)) == pytest.approx(float(value), abs=1e-6)
    # The exact value takes the middle of each tie: at distance 1 the hit is second or third, with
    # precision 1 or 2/3.
    exact = float(ranking.average_precision(query))
    assert exact == pytest.approx((1 + (1 + 2 / 3) / 2 + 1 / 2) / 3, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), items=st.integers(1, 60), bits=st.integers(1, 20))
def test_the_exact_value_is_that_of_the_retrieval_room(seed: int, items: int, bits: int) -> None:
    known = Drawn(seed, queries=6, items=items, bits=bits)
    codes = np.where(known.outputs >= 0, 1, -1).astype(np.int8)
    wanted = average_precision(codes, known.codes, known.labels, known.code_labels)
    found = known.ranking.average_precision(torch.from_numpy(codes))
    assert np.array_equal(found.numpy(), wanted)
    some = torch.tensor([4, 0, 5])
    part = known.ranking.of(some).average_precision(torch.from_numpy(codes)[some])
    assert np.array_equal(part.numpy(), wanted[some.numpy()])


def test_equal_pairs_are_one_entry_with_a_count() -> None:
    known = Drawn(1, queries=5, items=30, bits=6)
    pairs = np.concatenate([known.codes, known.code_labels], axis=1)
    ranking = known.ranking
    assert len(ranking.codes) == len(np.unique(pairs, axis=0)) < 30
    assert float(ranking.counts.sum()) == 30
    # Each item three times: every histogram is three times as high, the value the same.
    thrice = KnownRanking(
        _float(known.labels),
        _float(np.repeat(known.codes, 3, axis=0)),
        _float(np.repeat(known.code_labels, 3, axis=0)),
    )
    outputs = _float(known.outputs)
    one, three = (SmoothPrecision(each, 2.0)(outputs) for each in (ranking, thrice))
    torch.testing.assert_close(one, three)


def test_nothing_relevant_gives_0_everything_relevant_1_and_neither_a_slope() -> None:
    known = Drawn(2, queries=3, items=20, bits=8)
    labels = known.labels.copy()
    labels[:] = [[0, 0, 0], [1, 1, 1], [1, 1, 1]]
    rows = known.code_labels.copy()
    rows[:, 0] = 1  # so that the last two queries are relevant to all
    ranking = KnownRanking(_float(labels), _float(known.codes), _float(rows))
    value, gradient = SmoothPrecision(ranking, 2.0).value_and_gradient(_float(known.outputs))
    torch.testing.assert_close(value, torch.tensor([0.0, 1.0, 1.0]))
    assert not gradient[0].any()
    assert gradient.abs().max() < 1e-6


def test_outputs_that_are_no_numbers_give_numbers() -> None:
    known = Drawn(3, queries=3, items=20, bits=8)
    outputs = _float(known.outputs)
    outputs[0, 0], outputs[1] = math.nan, math.inf
    value, gradient = SmoothPrecision(known.ranking, 2.0).value_and_gradient(outputs)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("width", [-1.0, math.nan, math.inf])
def test_a_width_that_is_none_is_refused(width: float) -> None:
    with pytest.raises(UsageError, match=f"^width must be a number of 0 or more, found {width}$"):
        smoothing_kernel(4, width)


def test_the_kernel_spreads_each_bins_weight_and_loses_none() -> None:
    kernel = smoothing_kernel(6, 1.5)
    torch.testing.assert_close(kernel.sum(dim=1), torch.ones(7).double())
    # Far from the ends the ratio of neighbours is the Gaussian's.
    assert float(kernel[3, 4] / kernel[3, 3]) == pytest.approx(math.exp(-1 / 4.5), rel=1e-5)
    assert torch.equal(smoothing_kernel(6, 0.0), torch.eye(7).double())


class Scene:
    """Queries against a linear hash; train codes are those of random images of four classes."""

    def __init__(self, build: Linear, queries: int, bits: int = 8, scale: float = 1.0) -> None:
        rng = torch.Generator().manual_seed(7)
        weight = scale * (torch.rand(bits, 1, 5, 5, generator=rng) - 0.5)
        self.model = build(weight, -weight.flatten(1).sum(dim=1) / 2)
        draw = np.random.default_rng(8)
        self.pixels: NDArray[np.uint8] = draw.integers(0, 256, (queries, 1, 5, 5), dtype=np.uint8)
        train = torch.from_numpy(draw.random((40, 1, 5, 5), dtype=np.float32))
        rows = np.eye(4, dtype=np.uint8)
        labels = rows[np.arange(queries) % 4]
        self.known = known_of(labels, self.model.codes(train).numpy(), rows[np.arange(40) % 4])

    def codes(self, attack: Attack, batch: int = 7) -> NDArray[np.int8]:
        return self.run(attack, batch)[0]

    def run(self, attack: Attack, batch: int = 7) -> tuple[NDArray[np.int8], Tensor, Any]:
        seen = Recorded(attack)
        threat, seeds = Threat(Eps.parse("24/255")), range(len(self.pixels))
        told = Attacker(self.known)
        outcome = run_attack(seen, self.model, self.pixels, told, threat, seeds, batch=batch)
        return outcome.codes, seen.images, outcome

    def known_precision(self, codes: NDArray[np.int8]) -> NDArray[np.float64]:
        known = self.known
        return average_precision(codes, known.train_codes, known.labels, known.train_labels)


def test_it_lowers_the_average_precision_against_the_known_codes(linear_hash: Linear) -> None:
    scene = Scene(linear_hash, queries=40, bits=12)
    clean = scene.model.codes(torch.from_numpy(scene.pixels).float() / 255).numpy()
    before = scene.known_precision(clean)
    after = scene.known_precision(scene.codes(SmoothAP()))
    assert after.mean() < 0.75 * before.mean()
    assert (after < before + 1e-9).mean() >= 0.9


@pytest.mark.parametrize("steps", [3, 20, 100])
def test_a_query_is_attacked_alike_alone_and_among_seven(steps: int, linear_hash: Linear) -> None:
    scene = Scene(linear_hash, queries=7)
    together, apart = (scene.run(SmoothAP(steps=steps), batch) for batch in (7, 1))
    assert torch.equal(together[1], apart[1])
    assert np.array_equal(together[0], apart[0])


@pytest.mark.parametrize("scale", [1000.0, 1e-3])
def test_the_scale_of_the_logits_plays_no_part(scale: float, linear_hash: Linear) -> None:
    plain = Scene(linear_hash, queries=20)
    scaled = Scene(linear_hash, queries=20, scale=scale)
    _, images, _ = plain.run(SmoothAP())
    _, others, _ = scaled.run(SmoothAP())
    assert ((images - others).abs() > 1e-6).double().mean() < 0.02
    # By a power of two nothing is rounded otherwise.
    exact = Scene(linear_hash, queries=20, scale=2.0 ** round(math.log2(scale)))
    assert torch.equal(images, exact.run(SmoothAP())[1])
    # Without the scale the attack sees flat outputs: it ends elsewhere.
    plainly = scaled.known_precision(scaled.codes(SmoothAP(scaled=False)))
    if scale > 1:
        assert plainly.mean() > scaled.known_precision(scaled.codes(SmoothAP())).mean() + 0.05


def test_it_takes_one_look_at_the_clean_image_and_one_pass_a_step(linear_hash: Linear) -> None:
    scene = Scene(linear_hash, queries=10)
    _, _, outcome = scene.run(SmoothAP(steps=6), batch=4)
    assert (outcome.forwards, outcome.backwards) == (70, 60)
    _, _, outcome = scene.run(SmoothAP(steps=6, scaled=False), batch=4)
    assert (outcome.forwards, outcome.backwards) == (60, 60)


def test_a_model_that_draws_has_its_own_momentum(linear_hash: Linear) -> None:
    def images(draws: int, **settings: float) -> Tensor:
        scene = Scene(linear_hash, queries=10)
        scene.model.draws = draws
        found: Tensor = scene.run(SmoothAP(steps=12, **settings))[1]
        return found

    # Both draws of this model are the same, and the mean of two equal numbers is that number.
    assert torch.equal(images(2, drawn_momentum=0.3), images(1, momentum=0.3))
    assert torch.equal(images(2), images(2, momentum=0.1))
    assert not torch.equal(images(2), images(1))


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
        known = known_of(
            np.array([[1, 0]], dtype=np.uint8),
            np.concatenate([code, -code]),
            np.eye(2, dtype=np.uint8),
        )
        threat = Threat(Eps.parse(side * abs(lead)))
        for seed in range(3):
            told = Attacker(known)
            found = run_attack(SmoothAP(steps=25), model, pixels, told, threat, [seed], batch=1)
            assert (found.codes != code).all() == (side > 1)


@pytest.mark.parametrize("fill", [0.0, math.nan, math.inf, 1e-42])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_model_without_a_usable_gradient_gives_an_image_in_the_ball(
    fill: float, momentum: float, linear_hash: Linear
) -> None:
    scene = Scene(linear_hash, queries=3)
    with torch.no_grad():
        scene.model.hash_layer.weight.fill_(fill)
        scene.model.hash_layer.bias.fill_(fill)
    # Asked directly: the harness refuses such a model, and not for the attack's sake.
    images = torch.from_numpy(scene.pixels).float() / 255
    found = SmoothAP(steps=5, momentum=momentum).perturb(
        AttackedModel(scene.model),
        images,
        _goal(scene.known),
        Threat(Eps.parse("24/255")),
        QueryRandom([0, 1, 2]),
    )
    assert ((found - images).abs() <= 24 / 255 + 1e-6).all()


def test_labels_that_rank_nothing_leave_the_attack_at_its_start(linear_hash: Linear) -> None:
    scene = Scene(linear_hash, queries=6)
    labels = scene.known.labels.clone()
    labels[:3] = 0
    scene.known = known_of(labels, scene.known.train_codes, scene.known.train_labels)
    _, images, _ = scene.run(SmoothAP(random_start=False))
    moved = (images - torch.from_numpy(scene.pixels) / 255).abs().amax(dim=(1, 2, 3)) > 1e-6
    assert moved.tolist() == [False] * 3 + [True] * 3


def test_one_known_image_and_one_bit_are_enough(linear_hash: Linear) -> None:
    scene = Scene(linear_hash, queries=4, bits=1)
    known = scene.known
    scene.known = known_of(known.labels, known.train_codes[:1], known.train_labels[:1])
    codes, images, _ = scene.run(SmoothAP(steps=5))
    assert set(np.unique(codes)) <= {-1, 1}
    assert images.isfinite().all()


def test_alpha_rises_by_one_factor_from_start_to_end() -> None:
    descent = AnnealedDescent(6, 0.5, 16.0, 0.25, 0.0)
    assert [descent.alpha(step) for step in range(6)] == pytest.approx([0.5, 1, 2, 4, 8, 16])
    assert AnnealedDescent(1, 0.5, 16.0, 0.25, 0.0).alpha(0) == 0.5


def test_the_scale_is_the_median_size_or_the_mean_or_1() -> None:
    logits = [[-4.0, 2, 1, 3], [0, 0, 0, -8], [0, 0, 0, 0], [math.nan] * 4, [math.inf] * 4]
    assert logit_scale(_float(logits)).flatten().tolist() == [2, 2, 1, 1, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"alpha_start": 0.0},
        {"alpha_end": -1.0},
        {"first_step": math.nan},
        {"momentum": 1.0},
        {"drawn_momentum": 1.0},
        {"width": -0.5},
    ],
)
def test_an_impossible_setting_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SmoothAP(**wrong)


def _goal(known: Known) -> Goal:
    return Goal("smooth-ap", known, with_labels=True, with_training=True)


def _float(values: Any) -> Tensor:
    return torch.from_numpy(np.asarray(values)).float()


def test_a_gradient_that_cancels_is_exactly_0_whatever_the_batch() -> None:
    """Where all known images are relevant nothing can lower the average precision."""
    rng = torch.Generator().manual_seed(0)
    codes = torch.where(torch.rand(40, 6, generator=rng) < 0.5, -1.0, 1.0)
    labels, queries = torch.ones(40, 1), torch.ones(4, 1)
    outputs = 2 * torch.rand(4, 6, generator=rng) - 1
    for part in (slice(0, 4), slice(1, 2)):
        ranking = KnownRanking(queries[part], codes, labels)
        _, gradient = SmoothPrecision(ranking, 3.0).value_and_gradient(outputs[part])
        assert not gradient.any()
