"""The step rules: by hand, against the papers' formulas in float64, and where two rules meet."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from hashbench import plugins
from hashbench.attacking import (
    AttackedModel,
    AttackOutcome,
    Eps,
    Goal,
    OutputLoss,
    QueryRandom,
    SignDescent,
    SignStep,
    Threat,
    descend,
)
from hashbench.attacking.descent import Direction, gradient_of
from hashbench.attacking.goal import Known
from hashbench.attacking.step_rules import (
    Momentum,
    ScaledCopies,
    StepRule,
    StepSchedule,
    VarianceTuning,
    unit_mean,
)
from hashbench.errors import UsageError

Array = NDArray[np.float64]
FREE = Threat(Eps.parse("1"))
STEP = 0.01
RULES = list(StepRule)


@dataclass(frozen=True)
class Waves(SignDescent):
    """Descends on `sum_k cos(frequency_k x_k + phase_k)` of the pixels: gradients of both signs."""

    scale: float = 1.0

    def loss(self, goal: Goal, rng: QueryRandom) -> OutputLoss:  # noqa: ARG002
        frequency, phase = goal.known.center_codes, goal.known.labels
        return lambda pixels: self.scale * torch.cos(frequency * pixels + phase).sum(dim=1)


class Pixels(AttackedModel):
    """A 'model' whose outputs are the pixels; it keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def outputs(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        assert alpha == 1
        self.seen.append(images.detach().clone())
        return images.flatten(1)


class Counted(QueryRandom):
    """Counts its draws."""

    @property
    def draws(self) -> int:
        """Calls so far."""
        return int(self.state_dict()["calls"])


@dataclass(frozen=True)
class Scene:
    """Images, and the waves over their pixels."""

    images: Tensor
    frequency: Tensor
    phase: Tensor

    @classmethod
    def drawn(cls, seed: int, count: int = 3, shape: tuple[int, ...] = (2, 3, 4)) -> Scene:
        rng = torch.Generator().manual_seed(seed)
        images = torch.rand(count, *shape, generator=rng)
        pixels = images[0].numel()
        return cls(
            images,
            9 * torch.rand(count, pixels, generator=rng) - 4.5,
            6 * torch.rand(count, pixels, generator=rng),
        )

    def run(
        self,
        attack: SignDescent,
        *,
        eps: str = "8/255",
        model: AttackedModel | None = None,
        rng: QueryRandom | None = None,
        part: slice = slice(None),
    ) -> Tensor:
        images = self.images[part]
        nothing = torch.empty(0)
        goal = Goal(
            "w", Known(self.phase[part], self.frequency[part], nothing, nothing), True, True
        )
        rng = rng or QueryRandom(list(range(len(self.images)))[part])
        return attack.perturb(model or Pixels(), images, goal, Threat(Eps.parse(eps)), rng)

    def gradient_of_j(self, at: Array) -> Array:
        """The papers maximise `J = -loss`: its gradient, in float64, at any images."""
        frequency = self.frequency.double().numpy().reshape(at.shape)
        phase = self.phase.double().numpy().reshape(at.shape)
        return np.asarray(frequency * np.sin(frequency * at + phase))


# ---- by hand -------------------------------------------------------------------------------------


def slopes(*rows: tuple[float, float]) -> Callable[[Tensor, int], Tensor]:
    """A loss of two pixels whose gradient in step t is row t, wherever the point is."""
    return lambda point, step: (point * torch.tensor(rows[step])).flatten(1).sum(dim=1)


def walk(
    direction: Direction, *rows: tuple[float, float], size: float = 0.1
) -> tuple[list[list[float]], list[list[float]]]:
    """The points where the loss is asked, and the points after each step, from (0.5, 0.5)."""
    asked: list[list[float]] = []
    reached: list[list[float]] = []
    loss, update = slopes(*rows), SignStep(size)

    def recorded(point: Tensor, step: int) -> Tensor:
        asked.append(point.detach().flatten().tolist())
        return loss(point, step)

    def told(point: Tensor, gradient: Tensor) -> Tensor:
        moved = update(point, gradient)
        reached.append(moved.flatten().tolist())
        return moved

    images = torch.full((1, 1, 1, 2), 0.5)
    descend(recorded, images, FREE, steps=len(rows), update=told, direction=direction)
    return asked, reached


ROWS = ((3.0, 1.0), (-1.0, -1.0), (0.0, -4.0))


def test_momentum_by_hand() -> None:
    # mean |row| is 2, 1, 2, so the rows count as (1.5, 0.5), (-1, -1), (0, -2).
    # decay 1:   g = (1.5, 0.5), (0.5, -0.5), (0.5, -2.5)
    _, reached = walk(Momentum(gradient_of, 1.0), *ROWS)
    assert np.array(reached) == pytest.approx(np.array([[0.4, 0.4], [0.3, 0.5], [0.2, 0.6]]))
    # decay 1/2: g = (1.5, 0.5), (-0.25, -0.75), (-0.125, -2.375)
    _, reached = walk(Momentum(gradient_of, 0.5), *ROWS)
    assert np.array(reached) == pytest.approx(np.array([[0.4, 0.4], [0.5, 0.5], [0.6, 0.6]]))


def test_a_step_without_a_gradient_adds_nothing_and_keeps_the_momentum() -> None:
    _, reached = walk(Momentum(gradient_of, 1.0), (0.0, 0.0), (2.0, -1.0), (0.0, 0.0))
    assert np.array(reached) == pytest.approx(np.array([[0.5, 0.5], [0.4, 0.6], [0.3, 0.7]]))


def test_nesterov_asks_where_the_next_step_would_lead_by_hand() -> None:
    sizes = (0.1, 0.1, 0.2)
    asked, _ = walk(Momentum(gradient_of, 1.0, sizes), *ROWS)
    # x - a * g: (0.4, 0.4) - 0.1 (1.5, 0.5), then (0.3, 0.5) - 0.2 (0.5, -0.5)
    assert np.array(asked) == pytest.approx(np.array([[0.5, 0.5], [0.25, 0.35], [0.2, 0.6]]))
    asked, _ = walk(Momentum(gradient_of, 0.5, sizes), *ROWS)
    # (0.4, 0.4) - 0.05 (1.5, 0.5), then (0.5, 0.5) - 0.1 (-0.25, -0.75)
    assert np.array(asked) == pytest.approx(np.array([[0.5, 0.5], [0.325, 0.375], [0.525, 0.575]]))


def test_the_mean_over_scaled_copies_by_hand() -> None:
    # J = x^3 / 3: the gradient of J(s x) by x is s^3 x^2, so the factor of the chain rule is in it.
    asked: list[float] = []

    def cubic(point: Tensor, _: int) -> Tensor:
        asked.append(point.item())
        return (point**3 / 3).flatten(1).sum(dim=1)

    found = ScaledCopies(3)(cubic, torch.full((1, 1, 1, 1), 0.8), 0)
    assert asked == pytest.approx([0.8, 0.4, 0.2])
    assert found.item() == pytest.approx((1 + 1 / 8 + 1 / 64) * 0.64 / 3)


def test_variance_of_a_parabola_by_hand() -> None:
    # J = x^2: the gradient at x + r is 2x + 2r, so v = 2 mean(r) wherever x is.
    tuning = VarianceTuning(4, 0.3, QueryRandom([5]))
    draws = [QueryRandom([5])]
    offsets = torch.stack([draws[0].uniform((1, 1, 2), -0.3, 0.3) for _ in range(8)])

    def parabola(point: Tensor, _: int) -> Tensor:
        return point.square().flatten(1).sum(dim=1)

    point = torch.tensor([0.2, 0.6]).view(1, 1, 1, 2)
    wanted = [2 * point, 2 * point + 2 * offsets[:4].mean(dim=0)]
    wanted.append(2 * point + 2 * offsets[4:].mean(dim=0))
    for step in range(3):
        torch.testing.assert_close(tuning(parabola, point, step), wanted[step])


# ---- the papers' formulas, in float64, maximising J ----------------------------------------------


def published(rule: StepRule, scene: Scene, attack: SignDescent, radius: float) -> Array:
    """The papers' pseudo-code, with every sum per image; draws as `QueryRandom` gives them."""
    rng = QueryRandom(range(len(scene.images)))
    clean = scene.images.double().numpy()
    shape = scene.images.shape[1:]
    j_gradient = scene.gradient_of_j
    x, g, v = clean.copy(), np.zeros_like(clean), np.zeros_like(clean)
    for _ in range(attack.steps):
        look = x
        if rule in (StepRule.NI, StepRule.SI_NI):
            look = x + attack.step_size * attack.momentum * g
        if rule is StepRule.SI_NI:
            scales = [0.5**i for i in range(attack.copies)]
            now = np.mean([s * j_gradient(s * look) for s in scales], axis=0)
        else:
            now = j_gradient(look)
        if rule is StepRule.BIM:
            g = now
        else:
            tuned = now + v
            means = np.abs(tuned).reshape(len(x), -1).mean(axis=1).reshape(-1, 1, 1, 1)
            g = attack.momentum * g + tuned / means
        if rule is StepRule.VMI:
            reach = attack.neighbourhood * radius
            around = np.zeros_like(x)
            for _ in range(attack.samples):
                around += j_gradient(x + rng.uniform(shape, -reach, reach).double().numpy())
            v = around / attack.samples - now
        x = np.clip(x + attack.step_size * np.sign(g), clean - radius, clean + radius)
        x = np.clip(x, 0, 1)
    return x


@settings(deadline=None, max_examples=60)
@given(
    rule=st.sampled_from([rule for rule in RULES if rule is not StepRule.DI]),
    seed=st.integers(0, 10**6),
    momentum=st.sampled_from([0.0, 0.5, 1.0]),
    count=st.sampled_from([1, 3]),
    numbers=st.sampled_from([(1, 1, 0.5), (5, 3, 1.5), (2, 6, 4.0)]),
)
def test_each_rule_is_its_papers_formula(
    rule: StepRule, seed: int, momentum: float, count: int, numbers: tuple[int, int, float]
) -> None:
    copies, samples, neighbourhood = numbers
    own: dict[str, Any] = {"momentum": momentum} if rule.has_momentum else {}
    if rule is StepRule.SI_NI:
        own["copies"] = copies
    if rule is StepRule.VMI:
        own |= {"samples": samples, "neighbourhood": neighbourhood}
    attack = Waves(steps=12, step_size=0.03, random_start=False, rule=rule, **own)
    scene = Scene.drawn(seed, count)
    found = scene.run(attack, eps="0.2").double().numpy()
    wanted = published(rule, scene, attack, 0.2)
    # A direction within rounding of 0 may send a pixel the other way.
    astray = np.abs(found - wanted) > 1e-5
    assert astray.mean() <= 0.02


# ---- where two rules meet ------------------------------------------------------------------------


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"rule": StepRule.MI, "momentum": 0.0}, {}),
        ({"rule": StepRule.NI, "momentum": 0.0}, {}),
        ({"rule": StepRule.VMI, "samples": 0}, {"rule": StepRule.MI}),
        ({"rule": StepRule.VMI, "neighbourhood": 0.0}, {"rule": StepRule.MI}),
        ({"rule": StepRule.DI, "resize_probability": 0.0}, {}),
        ({"rule": StepRule.DI, "resize_ratio": 1.0}, {}),
        ({"rule": StepRule.SI_NI, "copies": 1}, {"rule": StepRule.NI}),
    ],
)
def test_a_rule_without_what_sets_it_apart_is_the_other(
    one: dict[str, Any], other: dict[str, Any], start: bool
) -> None:
    scene = Scene.drawn(7, count=9, shape=(2, 11, 10))
    found = [
        scene.run(Waves(steps=20, step_size=STEP, random_start=start, **given))
        for given in (one, other)
    ]
    assert torch.equal(*found)
    full = scene.run(Waves(steps=20, step_size=STEP, random_start=start, rule=one["rule"]))
    assert not torch.equal(full, found[0])


@pytest.mark.parametrize("rule", RULES)
def test_an_images_loss_may_have_any_scale_and_touches_no_other(rule: StepRule) -> None:
    # Powers of two scale floats exactly: all that is normalised is so per image.
    scene = Scene.drawn(3, count=4, shape=(1, 12, 12))
    plain = Waves(steps=10, step_size=STEP, rule=rule)
    wanted = scene.run(plain)
    for scale in (2.0**-40, 2.0**30):
        assert torch.equal(
            scene.run(Waves(steps=10, step_size=STEP, rule=rule, scale=scale)), wanted
        )
    still = Scene(scene.images, scene.frequency.clone(), scene.phase)
    still.frequency[1] = 0  # no gradient: this image stays where it starts
    found = still.run(plain)
    others = torch.tensor([0, 2, 3])
    assert torch.equal(found[others], wanted[others])
    start = scene.run(Waves(steps=0, step_size=STEP, rule=rule))
    assert torch.equal(found[1], start[1])
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("schedule", list(StepSchedule))
@pytest.mark.parametrize("rule", RULES)
def test_a_batch_of_seven_is_seven_batches_of_one(rule: StepRule, schedule: StepSchedule) -> None:
    scene = Scene.drawn(11, count=7, shape=(3, 10, 13))
    attack = Waves(steps=15, step_size=STEP, rule=rule, step_schedule=schedule)
    whole = scene.run(attack)
    apart = [scene.run(attack, part=slice(i, i + 1)) for i in range(7)]
    assert torch.equal(whole, torch.cat(apart))


@pytest.mark.parametrize(
    ("given", "draws"),
    [
        ({"rule": StepRule.BIM}, 0),
        ({"rule": StepRule.MI}, 0),
        ({"rule": StepRule.NI}, 0),
        ({"rule": StepRule.SI_NI}, 0),
        ({"rule": StepRule.VMI, "samples": 3}, 6 * 3),
        ({"rule": StepRule.VMI, "neighbourhood": 0.0}, 0),
        ({"rule": StepRule.DI}, 6),
        ({"rule": StepRule.DI, "resize_probability": 0.0}, 0),
    ],
)
def test_nothing_is_drawn_without_need_and_the_start_is_drawn_first(
    given: dict[str, Any], draws: int
) -> None:
    scene = Scene.drawn(2)
    for start in (False, True):
        rng = Counted(range(3))
        model = Pixels()
        attack = Waves(steps=6, step_size=STEP, random_start=start, **given)
        scene.run(attack, rng=rng, model=model)
        assert rng.draws == draws + start
        if start and given["rule"] is not StepRule.DI:
            first = Pixels()
            scene.run(Waves(steps=1, step_size=STEP), model=first)
            assert torch.equal(model.seen[0], first.seen[0])


@pytest.mark.parametrize("steps", [0, 1, 6])
@pytest.mark.parametrize(
    ("given", "each"),
    [
        ({"rule": StepRule.BIM}, 1),
        ({"rule": StepRule.MI}, 1),
        ({"rule": StepRule.NI}, 1),
        ({"rule": StepRule.SI_NI}, 5),
        ({"rule": StepRule.SI_NI, "copies": 2}, 2),
        ({"rule": StepRule.VMI}, 21),
        ({"rule": StepRule.VMI, "samples": 4}, 5),
        ({"rule": StepRule.VMI, "samples": 0}, 1),
        ({"rule": StepRule.VMI, "neighbourhood": 0.0}, 1),
        ({"rule": StepRule.DI}, 1),
    ],
)
def test_passes_are_those_that_are_taken(
    given: dict[str, Any], each: int, steps: int, run: Callable[..., AttackOutcome]
) -> None:
    attack = plugins.get("attack", "pgd-hamming", steps=steps, **given)
    assert isinstance(attack, SignDescent)
    outcome = run(attack)
    assert attack.passes() == steps * each
    assert outcome.forwards == outcome.backwards == len(outcome.codes) * steps * each


# ---- where the neighbours and the copies lie -----------------------------------------------------


def test_neighbours_are_uniform_in_a_ball_around_the_point_of_neighbourhood_radii() -> None:
    scene = Scene.drawn(0, count=2, shape=(1, 20, 20))
    model = Pixels()
    rule: dict[str, Any] = {"rule": StepRule.VMI, "samples": 30, "neighbourhood": 0.5}
    scene.run(Waves(steps=1, step_size=STEP, random_start=False, **rule), eps="0.1", model=model)
    point, *around = model.seen
    assert torch.equal(point, scene.images)
    apart = (torch.stack(around) - point) / (0.5 * 0.1)
    assert 0.999 < apart.abs().max() <= 1 + 1e-5
    # Uniform on [-1, 1]: mean 0, variance 1/3; each within five standard errors.
    assert abs(apart.mean()) < 5 * (1 / 3 / apart.numel()) ** 0.5
    assert abs(apart.square().mean() - 1 / 3) < 5 * (4 / 45 / apart.numel()) ** 0.5
    # Neither two samples nor two queries share a draw.
    flat = apart.transpose(0, 1).flatten(0, 1).flatten(1)
    assert np.abs(np.corrcoef(flat.numpy()) - np.eye(60)).max() < 0.3


# ---- the size of a step --------------------------------------------------------------------------


def test_cosine_sizes_by_hand_and_in_closed_form() -> None:
    assert StepSchedule.COSINE.sizes(0.4, 4) == pytest.approx(
        (0.4, 0.2 + 0.1 * 2**0.5, 0.2, 0.2 - 0.1 * 2**0.5)
    )
    assert StepSchedule.CONSTANT.sizes(0.4, 4) == (0.4,) * 4
    for steps in (0, 1, 2, 7, 100):
        sizes = StepSchedule.COSINE.sizes(1.0, steps)
        assert len(sizes) == steps
        # The cosines of t = 1 to T - 1 cancel: T / 2, and half of the first's more.
        assert sum(sizes) == pytest.approx((steps + 1) / 2 if steps else 0)
        assert all(a > b > 0 for a, b in itertools.pairwise(sizes))


@pytest.mark.parametrize("rule", RULES)
def test_steps_have_the_schedules_sizes(rule: StepRule) -> None:
    # One pixel and one slope: each step goes the same way, and `points` tells how far.
    scene = Scene(torch.zeros(1, 1, 1, 1), torch.full((1, 1), 0.1), torch.zeros(1, 1) + 0.5)
    sizes = StepSchedule.COSINE.sizes(0.05, 8)
    for steps in range(1, 9):
        schedule = StepSchedule.COSINE
        attack = Waves(
            steps=8, step_size=0.05, random_start=False, rule=rule, step_schedule=schedule
        )
        model = Pixels()
        scene.run(attack, eps="1", model=model)
        each = attack.passes() // 8
        if rule in (StepRule.BIM, StepRule.MI, StepRule.VMI, StepRule.DI) and steps < 8:
            assert model.seen[steps * each].item() == pytest.approx(sum(sizes[:steps]), abs=1e-6)
    assert scene.run(attack, eps="1").item() == pytest.approx(0.05 * 4.5, abs=1e-6)


def test_the_look_ahead_uses_the_size_of_its_own_step() -> None:
    scene = Scene(torch.zeros(1, 1, 1, 1), torch.full((1, 1), 0.1), torch.zeros(1, 1) + 0.5)
    sizes = StepSchedule.COSINE.sizes(0.05, 5)
    model = Pixels()
    scene.run(
        Waves(
            steps=5,
            step_size=0.05,
            random_start=False,
            rule=StepRule.NI,
            step_schedule=StepSchedule.COSINE,
        ),
        eps="1",
        model=model,
    )
    for step, seen in enumerate(model.seen):
        # One pixel's normalised gradient is its sign, so g is the number of steps so far.
        assert seen.item() == pytest.approx(sum(sizes[:step]) + step * sizes[step], abs=1e-6)


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rule": "mi", "momentum": -0.1}, "momentum must be a number from 0, found -0.1"),
        ({"rule": "mi", "momentum": float("nan")}, "momentum must be"),
        ({"rule": "si-ni", "copies": 0}, "copies must be 1 or more, found 0"),
        ({"rule": "vmi", "samples": -1}, "samples must be 0 or more, found -1"),
        ({"rule": "vmi", "neighbourhood": float("nan")}, "neighbourhood must be"),
        ({"rule": "di", "resize_probability": 1.1}, "resize_probability must be from 0 to 1"),
        ({"rule": "di", "resize_ratio": 0.0}, "resize_ratio must be above 0"),
        ({"rule": "vm"}, "'vm' is no choice"),
        ({"momentum": 0.5}, "momentum=0.5 has no effect with rule=bim: it is for rule=mi or ni"),
        ({"rule": "ni", "copies": 3}, "copies=3 has no effect with rule=ni"),
        ({"rule": "mi", "samples": 3}, "samples=3 has no effect with rule=mi"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(given: dict[str, Any], message: str) -> None:
    given = {key: str(value) if key == "rule" else value for key, value in given.items()}
    if any(value != value for value in given.values()):
        with pytest.raises(UsageError, match=message):
            Waves(**{**given, "rule": StepRule(given["rule"])})
        return
    with pytest.raises(UsageError) as caught:
        plugins.get("attack", "pgd-hamming", **given)
    assert message in str(caught.value)


def test_a_unit_mean_gradient_keeps_signs_down_to_the_smallest_floats() -> None:
    rows = torch.tensor([[3.0, -1.0, 0.0, 0.0], [1e-44, -1e-44, 0, 0], [0.0] * 4, [2e30] * 4])
    found = unit_mean(rows.view(4, 1, 2, 2)).flatten(1)
    assert torch.isfinite(found).all()
    assert found[0].tolist() == [3, -1, 0, 0]
    assert torch.equal(found.sign(), rows.sign())
    assert found[3].tolist() == [1] * 4
