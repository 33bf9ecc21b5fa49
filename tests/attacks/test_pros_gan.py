"""ProS-GAN: its losses in slow form, its networks for every shape, its training and its storing."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashbench.attacking import (
    AttackedModel,
    Attacker,
    AttackerSetup,
    AttackOutcome,
    Eps,
    NetworkSizes,
    Threat,
    run_attack,
)
from hashbench.attacking.training import train_attacker
from hashbench.errors import UsageError
from hashbench.hashing import encode, load_checkpoint
from hashbench.hashing.checkpoint import WEIGHTS, weight_bytes
from hashbench.plugins import Attack, TrainedAttack
from hashbench.retrieval import mean_average_precision
from support.blobs import blobs, taught
from support.draws import process_seeded
from support.knowing import known_of

Build = Callable[..., Attack]

GAN = importlib.import_module("hashbench.attacks.pros_gan")

SHAPES = ((1, 28, 28), (3, 33, 20), (1, 1, 9), (2, 1, 1), (1, 15, 8), (3, 60, 60))
QUICK: dict[str, object] = {"width": 6, "blocks": 1, "epochs": 2, "prototype_steps": 3}


class Scene:
    """Three kinds of blob on 12 x 12 pixels, and a small network that hashes them."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.train, self.query = blobs(rng, 96, 12), blobs(rng, 21, 12)
        with process_seeded(0):
            net = nn.Sequential(nn.Flatten(), nn.Linear(144, 24), nn.ReLU())
            self.model = taught(net, 24, self.train, rng)
        self.codes = encode(self.model, self.train.images).codes
        self.targets = np.roll(self.query.labels, 1, axis=1)
        self.progress: list[tuple[int, int]] = []

    def network(self, attack: Attack, eps: str = "40/255", seed: int = 0) -> nn.Module:
        assert isinstance(attack, TrainedAttack)
        self.progress.clear()
        with process_seeded(seed):
            return train_attacker(
                attack,
                self.model,
                self.train,
                torch.from_numpy(self.codes),
                Threat(Eps.parse(eps)),
                torch.Generator().manual_seed(seed),
                progress=lambda *at: self.progress.append(at),
            )

    def run(
        self, attack: Attack, network: nn.Module, eps: str = "40/255", batch: int = 21
    ) -> AttackOutcome:
        known = known_of(self.query.labels, self.codes, self.train.labels, self.targets)
        attacker = Attacker(known, network=network)
        threat = Threat(Eps.parse(eps))
        pixels = self.query.images
        return run_attack(attack, self.model, pixels, attacker, threat, range(21), batch=batch)

    def t_map(self, codes: Any) -> float:
        return mean_average_precision(codes, self.codes, self.targets, self.train.labels)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def test_the_prototype_loss_is_its_formula() -> None:
    rng = np.random.default_rng(2)
    prototypes, told = rng.uniform(-1, 1, (4, 6)), rng.uniform(0, 1, (4, 3))
    labels, codes = rng.integers(0, 2, (4, 3)), rng.choice([-1.0, 1.0], (7, 6))
    positive = rng.integers(0, 2, (4, 7))
    fit = 0.0
    for i in range(4):
        for j in range(7):
            theta = sum(prototypes[i, k] * codes[j, k] for k in range(6)) / 2
            fit -= positive[i, j] * theta - math.log(1 + math.exp(theta))
    error = ((told - labels) ** 2).mean()
    quantisation = ((np.sign(prototypes) - prototypes) ** 2).sum() / (1e4 * 4)
    given = (prototypes, told, labels, codes, positive)
    found = GAN.likelihood_loss(*(torch.from_numpy(one).double() for one in given))
    assert float(found) == pytest.approx(fit / (4 * 7) + error + quantisation, rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_image_is_painted(shape: tuple[int, int, int]) -> None:
    with process_seeded(0):
        painter = GAN.Painter(NetworkSizes(shape, 4, 8), width=4, blocks=1)
        judge = GAN.discriminator(shape, 4, 4)
    images, labels = torch.rand(3, *shape), torch.eye(4)[:3]
    prototypes, told = painter.prototypes(labels)
    assert (prototypes.shape, told.shape) == ((3, 8), (3, 4))
    features = painter.prototypes.features(labels)
    assert features.shape == (3, 512)
    painted = painter.generator(images, features)
    assert painted.shape == images.shape
    assert painted.isfinite().all()
    assert judge(painted).shape == (3, 5)


def test_the_published_sizes(attack_named: Build) -> None:
    attack = attack_named("pros-gan@published")
    assert isinstance(attack, GAN.ProSGAN)
    assert (attack.width, attack.blocks, attack.epochs, attack.batch) == (64, 3, 100, 24)
    assert (attack.reconstruction, attack.hashing, attack.realism) == (50.0, 5.0, 1.0)
    assert (attack.learning_rate, attack.prototype_steps, attack.bounded) == (1e-4, 30_000, False)
    assert attack.training_passes(5000) == 500_000
    with torch.device("meta"):
        generator = GAN.Generator((3, 224, 224), attack.width, attack.blocks)
    first, widest = generator.labels[0], max(layer.weight.shape[0] for layer in convs(generator))
    assert (first.in_features, first.out_features, widest) == (512, 128 * 14 * 14, 256)
    assert sum(isinstance(layer, GAN.Residual) for layer in generator.modules()) == 6
    with process_seeded(0):
        judge = GAN.discriminator((3, 224, 224), 38, 4)
    shapes = [tuple(layer.weight.shape) for layer in convs(judge)]
    assert [one[0] for one in shapes] == [4, 8, 16, 32, 64, 39]
    assert shapes[-1][2:] == (7, 7)


def convs(network: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize(("name", "bounded"), [("pros-gan", True), ("pros-gan@published", False)])
def test_what_is_painted_before_the_harness_looks(
    name: str, bounded: bool, scene: Scene, attack_named: Build
) -> None:
    attack = attack_named(name, **QUICK)
    assert isinstance(attack, GAN.ProSGAN)
    threat = Threat(Eps.parse("40/255"))
    with process_seeded(0):
        painter = attack.network(NetworkSizes((1, 12, 12), 3, 12)).eval()
    images = torch.from_numpy(scene.query.images).float() / 255
    images[0, 0, :3], images[0, 0, 3:6] = 0.0, 1.0  # where the box cuts the ball
    with torch.no_grad():
        for parameter in painter.generator.parameters():
            parameter.mul_(3)
        features = painter.prototypes.features(torch.eye(3)[torch.arange(21) % 3])
        painted = attack._paint(painter, threat)(images, features)
    change = (painted - images).abs().max()
    assert painted.min() >= 0
    assert painted.max() <= 1
    assert (change <= threat.radius + 1e-6) == bounded
    assert change > 0.9 * threat.radius


@pytest.mark.parametrize("name", ["pros-gan", "pros-gan@published"])
def test_the_answer_stays_in_the_ball_and_batches_do_not_matter(
    name: str, scene: Scene, attack_named: Build
) -> None:
    attack = attack_named(name, **QUICK)
    network = scene.network(attack)
    whole = scene.run(attack, network)  # which fails an attack that leaves the ball
    assert whole.linf.max() > 0.5 * float(Eps.parse("40/255"))
    assert whole.forwards == 0
    for batch in (1, 4):
        part = scene.run(attack, network, batch=batch)
        assert np.array_equal(part.codes, whole.codes)
        np.testing.assert_allclose(part.l2, whole.l2, rtol=1e-4)
    assert not scene.run(attack, network, "0").linf.any()


def test_a_query_without_a_target_is_left_alone(scene: Scene, attack_named: Build) -> None:
    attack = attack_named("pros-gan", **QUICK)
    network = scene.network(attack)
    kept = scene.targets
    try:
        scene.targets = kept.copy()
        scene.targets[::2] = 0
        outcome = scene.run(attack, network)
    finally:
        scene.targets = kept
    assert not outcome.linf[::2].any()
    assert outcome.linf[1::2].all()


def test_a_stored_network_paints_as_before(
    scene: Scene, attack_named: Build, tmp_path: Path
) -> None:
    attack = attack_named("pros-gan", **QUICK)
    network = scene.network(attack)
    (tmp_path / WEIGHTS).write_bytes(weight_bytes(network))
    assert not any("judge" in name for name in network.state_dict())
    assert isinstance(attack, TrainedAttack)
    with process_seeded(7):
        fresh = attack.network(NetworkSizes((1, 12, 12), 3, 12))
    before = scene.run(attack, network)
    again = scene.run(attack, load_checkpoint(tmp_path, fresh).eval())
    assert np.array_equal(before.codes, again.codes)
    assert np.array_equal(before.l2, again.l2)


def test_each_seed_learns_its_own_and_progress_ends_at_its_total(
    scene: Scene, attack_named: Build
) -> None:
    attack = attack_named("pros-gan", **QUICK)
    states = [scene.network(attack, seed=seed).state_dict() for seed in (0, 0, 1)]
    assert scene.progress == [(done, 5) for done in range(1, 6)]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
        assert not torch.equal(value, states[2][name]), name


def test_training_sees_every_image_once_per_epoch_and_decays(
    scene: Scene, attack_named: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = attack_named("pros-gan", **{**QUICK, "epochs": 4, "batch": 40})
    assert isinstance(attack, GAN.ProSGAN)
    seen: list[Tensor] = []
    rates: list[float] = []
    images, descend = AttackerSetup.images, GAN._descend

    def watch(self: AttackerSetup, index: Tensor) -> Tensor:
        seen.append(index)
        return images(self, index)

    def note(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        rates.append(optimizer.param_groups[0]["lr"])
        descend(optimizer, loss)

    monkeypatch.setattr(AttackerSetup, "images", watch)
    monkeypatch.setattr(GAN, "_descend", note)
    network = scene.network(attack)
    assert [len(index) for index in seen] == [40, 40, 16] * 4
    for epoch in range(4):
        drawn = torch.cat(seen[3 * epoch : 3 * epoch + 3])
        assert torch.equal(drawn.sort().values, torch.arange(96))
    # Three steps of the prototype network, then the discriminator in each first step of three: the
    # rate is whole in the first half, and falls by a third of it per epoch after.
    per_epoch = [rates[3 + 4 * epoch : 7 + 4 * epoch] for epoch in range(4)]
    shares = [1, 1, 2 / 3, 1 / 3]
    for found, share in zip(per_epoch, shares, strict=True):
        assert found == pytest.approx([2e-3 * share] * 4)
    assert len(rates) == 3 + 16
    counted = AttackedModel(scene.model)
    assert counted.forwards == 0
    assert isinstance(network, GAN.Painter)


def test_target_map_rises(scene: Scene, attack_named: Build) -> None:
    attack = attack_named("pros-gan", width=8, epochs=12, prototype_steps=40)
    clean = scene.t_map(encode(scene.model, scene.query.images).codes)
    reached = scene.t_map(scene.run(attack, scene.network(attack)).codes)
    assert clean < 0.5
    assert reached > clean + 0.3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prototype_steps", -1),
        ("epochs", -1),
        ("batch", 0),
        ("width", 0),
        ("blocks", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("reconstruction", -1.0),
        ("hashing", float("nan")),
    ],
)
def test_what_cannot_be_is_refused(field: str, value: object, attack_named: Build) -> None:
    with pytest.raises(UsageError, match=field):
        attack_named("pros-gan", **{field: value})


def test_another_network_is_refused(scene: Scene, attack_named: Build) -> None:
    with pytest.raises(UsageError, match="pros-gan"):
        scene.run(attack_named("pros-gan"), nn.Linear(3, 3))
