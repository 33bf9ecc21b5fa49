"""What all adversarial trainings share: the budget, the inner attack, and the undefended row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench import plugins
from hashbench.attacking import Threat
from hashbench.defending import AdversarialTraining, Budget, DefenseSetup, InnerAttack
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.hashing import BackboneNet, HashModel, train
from hashbench.hashing.trainer import random_orders
from hashbench.plugins import WrappingDefense
from support.exact import same_gradient, same_loss

Vectors = Callable[[str], Mapping[str, NDArray[Any]]]
Named = Callable[..., AdversarialTraining]
SetupOf = Callable[..., DefenseSetup]
Build = Callable[..., HashModel]

BUDGET = Budget(epochs=4, inner_steps=5, eps=Eps.parse("24/255"))


def inner_attack(model: HashModel, eps: str, steps: int, random_start: bool) -> InnerAttack:
    threat = Threat(Eps.parse(eps))
    generator = torch.Generator().manual_seed(0)
    return InnerAttack(
        model=model,
        threat=threat,
        steps=steps,
        step_size=threat.radius / 4,
        random_start=random_start,
        training_mode=False,
        generator=generator,
    )


@pytest.mark.parametrize("name", ["cgat", "atrdh", "saat"])
def test_a_defense_takes_the_suites_budget_and_may_be_told_otherwise(
    name: str, defense_named: Named
) -> None:
    assert defense_named(name).granted(BUDGET) == BUDGET
    assert defense_named(name).passes(BUDGET) == 7
    told = defense_named(name, epochs=9, inner_steps=2, eps="1/255")
    assert told.granted(BUDGET) == Budget(9, 2, Eps.parse("1/255"))
    assert told.passes(BUDGET) == 4
    assert told.recipe(BUDGET).epochs == 9


@pytest.mark.parametrize("name", ["cgat", "atrdh", "saat"])
def test_the_inner_attack_is_the_published_one_unless_told(
    name: str, small_model: Build, defense_named: Named
) -> None:
    model, generator = small_model(), torch.Generator()
    inner = defense_named(name).inner_attack(model, BUDGET, generator)
    # A quarter of the radius is the published 2/255 at 8/255.
    assert (inner.steps, inner.random_start) == (5, True)
    assert inner.step_size == pytest.approx(6 / 255, rel=1e-12)
    assert inner.threat.radius == 24 / 255
    told = defense_named(name, inner_step_size="1/255", random_start=False)
    inner = told.inner_attack(model, BUDGET, generator)
    assert (inner.step_size, inner.random_start) == (1 / 255, False)


@pytest.mark.parametrize("name", ["cgat", "atrdh", "saat"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", -1),
        ("inner_steps", -1),
        ("eps", "2"),
        ("eps", "-1/255"),
        ("inner_step_size", 0),
        ("inner_step_size", "-1/255"),
        ("weight", "heavy"),
        ("random_start", 1),
    ],
)
def test_an_impossible_setting_is_refused_by_name(
    name: str, field: str, value: object, defense_named: Named
) -> None:
    with pytest.raises(UsageError, match=field) as refusal:
        defense_named(name, **{field: value})
    assert name in str(refusal.value)


@pytest.mark.parametrize("away", [True, False])
def test_on_a_linear_hash_it_flips_exactly_what_the_radius_reaches(away: bool) -> None:
    # Bit k moves to its target inside the ball when |w_k . x + b_k| < radius * ||w_k||_1.
    rng = np.random.default_rng(2)
    weight = np.zeros((3, 24))
    for bit, part in enumerate(np.split(rng.permutation(24), 3)):
        weight[bit, part] = rng.uniform(0.5, 1, 8) * rng.choice([-1.0, 1.0], 8)
    lengths = np.abs(weight).sum(axis=1)
    model = HashModel(BackboneNet(nn.Flatten(), 24, (0.5,), (1.0,)), 3).eval()
    with torch.no_grad():
        model.hash_layer.weight.copy_(torch.from_numpy(weight))
        model.hash_layer.bias.copy_(torch.from_numpy(0.05 * lengths))
    images = torch.from_numpy(rng.uniform(0.35, 0.65, (9, 1, 4, 6))).float()
    logits = model.logits(images).detach()
    codes = model.codes(images).float()
    thresholds = logits.abs() / torch.from_numpy(lengths).float()
    for radius in thresholds.flatten()[::3].tolist():
        for side in (0.985, 1.015):
            inner = inner_attack(model, str(side * radius), steps=4, random_start=False)
            # Away from the clean code, or towards its opposite: the same.
            moved = inner.away_from(images, codes) if away else inner.towards(images, -codes)
            assert (moved - images).abs().max() <= side * radius + 1e-6
            clear = (thresholds / (side * radius) - 1).abs() > 1e-3
            flipped = model.codes(moved) != codes
            assert torch.equal(flipped[clear], (thresholds < side * radius)[clear])


@pytest.mark.parametrize(
    ("case", "away"), [("cgat_adv", True), ("saat_train_adv", True), ("atrdh_inner", False)]
)
def test_it_descends_on_the_repositories_losses(
    case: str,
    away: bool,
    vectors: Vectors,
    small_model: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The loss as it is handed to the loop, of a model whose outputs are the image itself.
    given = {name: torch.from_numpy(value) for name, value in vectors("attack_losses").items()}
    model = small_model()
    model.outputs = lambda images: images  # type: ignore[method-assign,misc,assignment]
    point, found = given["c0_u"].clone().requires_grad_(True), []

    def once(
        loss: Callable[[Tensor, int], Tensor], images: Tensor, *_: object, **__: object
    ) -> Any:
        found.append(loss(point, 0))
        return images

    monkeypatch.setattr("hashbench.defending.adversarial.descend", once)
    inner = inner_attack(model, "8/255", steps=1, random_start=False)
    (inner.away_from if away else inner.towards)(given["c0_u"], given["c0_code"])
    assert found[0].shape == (len(point),)
    loss = found[0].sum() / len(point)
    (gradient,) = torch.autograd.grad(loss, point)
    same_loss(loss, given[f"c0_{case}_loss"])
    same_gradient(gradient, given[f"c0_{case}_grad"])


def test_random_starts_are_uniform_and_come_from_the_generator(small_model: Build) -> None:
    images = torch.full((200, 1, 4, 4), 0.5)
    draws = []
    for seed in (0, 0, 1):
        inner = inner_attack(small_model(), "0.1", steps=0, random_start=True)
        inner.generator.manual_seed(seed)
        torch.manual_seed(seed + 10)
        draws.append(inner.away_from(images, torch.ones(200, 6)) - images)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    unit = draws[0].flatten() / 0.1
    assert unit.abs().max() <= 1 + 1e-5
    assert abs(float(unit.mean())) < 5 / (3 * len(unit)) ** 0.5
    assert abs(float(unit.square().mean()) - 1 / 3) < 5 * (4 / 45 / len(unit)) ** 0.5


def test_the_model_is_frozen_inside_and_trainable_after(small_model: Build) -> None:
    model = small_model()
    model.hash_layer.bias.requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    inner = inner_attack(model, "0.1", steps=2, random_start=False)
    inside: list[bool] = []
    outputs = model.outputs

    def watch(images: Tensor, alpha: float = 1.0) -> Tensor:
        inside.extend(parameter.requires_grad for parameter in model.parameters())
        return outputs(images, alpha)

    model.outputs = watch  # type: ignore[method-assign]
    inner.away_from(torch.rand(3, 1, 4, 4), torch.ones(3, 6))
    assert inside
    assert not any(inside)
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(RuntimeError):
        inner.away_from(torch.rand(3, 1, 4, 4), torch.ones(3, 5))
    assert [parameter.requires_grad for parameter in model.parameters()] == before


@pytest.mark.parametrize("name", ["cgat", "atrdh", "saat"])
def test_the_defended_model_is_the_base_model_trained_in_place(
    name: str,
    small_model: Build,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    defense_named: Named,
    setup_of: SetupOf,
) -> None:
    model = small_model(dropout=0.5)
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    defense = defense_named(name, epochs=1, inner_steps=2)
    setup = setup_of(model, pixels, labels)
    orders = random_orders(20, 1, seed=0)
    train(
        model,
        defense.objective(setup),
        defense.recipe(setup.budget),
        pixels,
        labels,
        orders,
    )
    changed = [
        not torch.equal(old, new) for old, new in zip(weights, model.parameters(), strict=True)
    ]
    assert all(changed)


@pytest.mark.parametrize("training_mode", [False, True])
def test_codes_and_inner_attacks_are_made_in_the_chosen_mode(
    training_mode: bool,
    small_model: Build,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    defense_named: Named,
    setup_of: SetupOf,
) -> None:
    model = small_model(dropout=0.5)
    defense = defense_named("cgat", inner_steps=2, training_mode=training_mode)
    setup = setup_of(model, pixels, labels)
    inner = defense.inner_attack(model, setup.budget, setup.generator)
    seen: list[bool] = []
    forward = model.logits

    def watched(images: torch.Tensor) -> torch.Tensor:
        seen.append(model.training)
        return forward(images)

    model.logits = watched  # type: ignore[method-assign]
    model.train()
    images = torch.rand(3, *pixels.shape[1:])
    inner.away_from(images, torch.ones(3, model.bits))
    outputs = model.outputs(images).detach()
    codes = inner.codes(images, outputs)
    assert model.training
    if training_mode:
        assert seen == [True] * 3, "codes come from the outputs that are there already"
        assert torch.equal(codes, torch.where(outputs >= 0, 1.0, -1.0))
    else:
        assert seen == [False, False, True, False]
        model.eval()
        assert torch.equal(codes, model.codes(images).float())


def test_none_returns_the_base_model_itself(small_model: Build) -> None:
    defense = plugins.get("defense", "none")
    assert isinstance(defense, WrappingDefense)
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert defense.wrap(model) is model
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_defenses_are_found_by_name() -> None:
    assert {"none", "atrdh", "cgat", "saat"} <= set(plugins.names("defense"))
    with pytest.raises(UsageError, match="cgat"):
        plugins.get("defense", "cgta")


def linear_model(weight: Tensor) -> HashModel:
    """Logits `W x` of images of (1, 3, 3), which are near enough to 0 for tanh to be a line."""
    model = HashModel(BackboneNet(nn.Flatten(), weight.shape[1], (0.0,), (1.0,)), len(weight))
    with torch.no_grad():
        model.hash_layer.weight.copy_(weight)
        model.hash_layer.bias.zero_()
    return model.eval()


def test_in_an_l2_ball_it_ends_a_radius_away_straight_down_the_gradient() -> None:
    weight = torch.randn(1, 9, generator=torch.Generator().manual_seed(3)) / 100
    images = torch.full((5, 1, 3, 3), 0.5)
    codes = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])[:, None]
    for random_start in (False, True):
        inner = inner_attack(linear_model(weight), "l2:0.3", 60, random_start)
        change = (inner.away_from(images, codes) - images).flatten(1)
        wanted = -0.3 * codes * weight / weight.norm()
        # A step of a quarter of the radius leaves four fifths of a small angle: 0.8^60 is 2e-6.
        torch.testing.assert_close(change, wanted, rtol=0, atol=1e-3 * 0.3)
    towards = (inner.towards(images, codes) - images).flatten(1)
    torch.testing.assert_close(towards, -wanted, rtol=0, atol=1e-3 * 0.3)


def test_its_random_starts_are_uniform_in_an_l2_ball_and_each_image_has_its_own() -> None:
    inner = inner_attack(linear_model(torch.zeros(1, 9)), "l2:0.3", 0, True)
    noise = inner.noise(torch.full((3000, 1, 3, 3), 0.5)).flatten(1).double()
    away = noise.norm(dim=1) / 0.3
    assert float(away.max()) <= 1 + 1e-6
    # (r / R)^9 is uniform on [0, 1]: mean 1/2, variance 1/12; five standard errors.
    shares = away**9
    assert abs(float(shares.mean()) - 0.5) < 5 * (1 / 12 / 3000) ** 0.5
    assert float(noise.mean(dim=0).abs().max()) < 5 * 0.3 / (9 * 3000) ** 0.5
    assert len(noise.unique(dim=0)) == 3000
    again = inner_attack(linear_model(torch.zeros(1, 9)), "l2:0.3", 0, True)
    assert torch.equal(again.noise(torch.full((3000, 1, 3, 3), 0.5)).flatten(1).double(), noise)


def test_a_step_of_its_own_in_an_l2_ball_is_a_length() -> None:
    weight = torch.ones(1, 9) / 100
    inner = inner_attack(linear_model(weight), "l2:0.3", 1, False)
    inner.step_size = 0.05
    images = torch.full((2, 1, 3, 3), 0.5)
    change = (inner.away_from(images, torch.ones(2, 1)) - images).flatten(1).norm(dim=1)
    assert change.tolist() == pytest.approx([0.05, 0.05], abs=1e-6)
