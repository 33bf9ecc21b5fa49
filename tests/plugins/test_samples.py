"""The sample plugins do what their docstrings say: closed forms, on models known by hand."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashbench import UsageError, plugins
from hashbench.attacking import Attacker, AttackOutcome, Eps, Known, Threat, run_attack
from hashbench.defending import Budget, DefenseSetup
from hashbench.hashing import BackboneNet, Batch, BoundLoss, HashModel
from hashbench.plugins import Attack, Spec, TrainedDefense
from hashbench.plugins.registered import Registry

SOURCES = Path(__file__).resolve().parents[1] / "plugin_package/src/hashbench_example_plugins"


@pytest.fixture(autouse=True)
def _samples(fresh_registry: Registry) -> None:
    for name in ("fgsm_hamming.py", "noise_training.py"):
        plugins.use_file(SOURCES / name)
    assert not [broken for broken in fresh_registry.broken if broken.kind is None]


def linear_model(weights: Tensor, bias: Tensor) -> HashModel:
    """The linear hash `sign(W x + b)` on images of shape (1, 1, D)."""
    bits, inputs = weights.shape
    model = HashModel(BackboneNet(nn.Flatten(), inputs, (0.0,), (1.0,)), bits)
    with torch.no_grad():
        model.hash_layer.weight.copy_(weights)
        model.hash_layer.bias.copy_(bias)
    return model.eval()


def strike(attack: Attack, model: HashModel, pixels: np.ndarray, eps: Fraction) -> AttackOutcome:
    """Attack one-bit queries whose center code is their own code."""
    images = torch.from_numpy(pixels).float() / 255
    codes = model.codes(images).numpy()
    labels = np.ones((len(pixels), 1), np.uint8)
    attacker = Attacker(Known.of(labels, codes, codes, labels))
    threat = Threat(Eps.parse(str(eps)))
    return run_attack(attack, model, pixels, attacker, threat, list(range(len(pixels))), batch=3)


@pytest.mark.parametrize("preset", ["", "@unsaturated"])
@pytest.mark.parametrize("seed", range(5))
def test_one_step_flips_a_linear_bit_just_beyond_its_margin(seed: int, preset: str) -> None:
    """A bit of `sign(w.x + b)` flips in L-infinity at `|w.x + b| / ||w||_1`, and not before."""
    draw = torch.Generator().manual_seed(seed)
    weights = torch.randn(1, 20, generator=draw)
    # Mid-range pixels and a small margin: the box [0, 1] cuts nothing off.
    pixels = torch.randint(100, 156, (1, 1, 1, 20), generator=draw, dtype=torch.uint8).numpy()
    value = float(weights @ (torch.from_numpy(pixels).float().flatten() / 255))
    bias = torch.tensor([0.05 * float(weights.abs().sum()) * (-1) ** seed - value])
    model = linear_model(weights, bias)
    margin = abs(float(model.logits(torch.from_numpy(pixels).float() / 255).detach()))
    threshold = Fraction(margin / float(weights.abs().sum())).limit_denominator(10**6)
    attack = plugins.get("attack", f"fgsm-hamming{preset}")
    assert isinstance(attack, Attack)
    clean = model.codes(torch.from_numpy(pixels).float() / 255).numpy()
    beyond = strike(attack, model, pixels, threshold * Fraction(101, 100))
    short = strike(attack, model, pixels, threshold * Fraction(99, 100))
    assert (beyond.codes != clean).all()
    assert (short.codes == clean).all()
    assert beyond.linf == pytest.approx(float(threshold) * 1.01, abs=1e-6)


def test_reach_is_a_share_of_the_radius() -> None:
    model = linear_model(torch.ones(1, 4), torch.zeros(1))
    pixels = np.full((2, 1, 1, 4), 128, np.uint8)
    for reach, moved in ((0.5, 0.05), (1, 0.1), (3, 0.1)):  # beyond the ball it is cut off
        attack = plugins.get("attack", "fgsm-hamming", reach=reach)
        assert isinstance(attack, Attack)
        outcome = strike(attack, model, pixels, Fraction(1, 10))
        assert outcome.linf == pytest.approx(moved, abs=1e-6)


class Recorder(HashModel):
    """Keeps every image that it is shown."""

    def logits(self, images: Tensor) -> Tensor:
        self.seen = [*getattr(self, "seen", []), images.detach().clone()]
        return super().logits(images)


class Agreement(BoundLoss):
    """A loss that is simple to compute by hand: minus the mean output."""

    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:  # noqa: ARG002
        return -outputs.mean()


def train_once(defense: TrainedDefense, eps: str) -> tuple[float, Recorder, Batch]:
    model = Recorder(BackboneNet(nn.Flatten(), 6, (0.0,), (1.0,)), 4)
    draw = torch.Generator().manual_seed(1)
    images = torch.rand((5, 1, 2, 3), generator=draw)
    images[0, 0, 0, 0], images[1, 0, 0, 0] = 0.0, 1.0  # noise must not leave the box either
    labels = torch.ones(5, 1)
    setup = DefenseSetup(
        model=model,
        loss=Agreement(),
        outputs=torch.zeros(5, 4),
        labels=labels,
        database_labels=labels,
        budget=Budget(epochs=3, inner_steps=7, eps=Eps.parse(eps)),
        generator=torch.Generator().manual_seed(2),
    )
    batch = Batch(images, labels, torch.arange(5))
    loss = defense.objective(setup).loss(batch)
    loss.backward()
    return float(loss.detach()), model, batch


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_noise_training_without_noise_is_the_plain_loss(weight: float) -> None:
    defense = plugins.get("defense", "noise-training", weight=weight)
    assert isinstance(defense, TrainedDefense)
    loss, model, batch = train_once(defense, "0")
    clean = -float(model.outputs(batch.images).detach().mean())
    assert loss == pytest.approx((1 + weight) * clean, rel=1e-5)
    gradient = model.hash_layer.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_noise_training_draws_from_the_ball_and_the_box() -> None:
    defense = plugins.get("defense", "noise-training")
    assert isinstance(defense, TrainedDefense)
    _, model, batch = train_once(defense, "1/4")
    clean, noisy = model.seen
    assert torch.equal(clean, batch.images)
    change = (noisy - clean).abs()
    assert 0.15 < float(change.max()) <= 0.25 + 1e-6
    assert noisy.min() >= 0
    assert noisy.max() <= 1
    _, again, _ = train_once(defense, "1/4")
    assert torch.equal(again.seen[1], noisy)  # the generator alone decides


def test_noise_training_takes_the_budget_unless_told_otherwise() -> None:
    budget = Budget(epochs=3, inner_steps=7, eps=Eps.parse("1/4"))
    for text, epochs in (("noise-training", 3), ("noise-training:epochs=9", 9)):
        defense = plugins.get("defense", text)
        assert isinstance(defense, TrainedDefense)
        assert defense.recipe(budget).epochs == epochs


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("attack", "fgsm-hamming:reach=0", "reach and alpha must be above 0, found 0.0 and 1.0"),
        ("defense", "noise-training:weight=-1", "weight must be 0 or more, found -1.0"),
        ("attack", "fgsm-hamming:steps=2", "no parameter 'steps'"),
        ("attack", "fgsm-hamming@saturated", "did you mean 'unsaturated'?"),
    ],
)
def test_wrong_parameters_are_refused(kind: str, text: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        plugins.get(kind, text)
    assert str(raised.value).startswith(f"{kind} '{Spec.parse(text).name}'")
    assert words in str(raised.value)
