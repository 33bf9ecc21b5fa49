"""universal: one perturbation, where the best one is known and on a small trained model."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashbench import plugins
from hashbench.attacking import (
    AttackedModel,
    Attacker,
    AttackerSetup,
    AttackOutcome,
    Eps,
    Threat,
    run_attack,
)
from hashbench.attacking.training import train_attacker
from hashbench.data.images import ImageSet, RetrievalData
from hashbench.errors import UsageError
from hashbench.hashing import HashModel, InputSpec, encode
from hashbench.plugins import Backbone, Dataset
from hashbench.retrieval import center_codes
from support.knowing import known_of

Linear = Callable[..., HashModel]

_universal: Any = importlib.import_module("hashbench.attacks.universal")
Universal: Any = _universal.Universal
Perturbation: Any = _universal.Perturbation


def trained(
    attack: Any, model: HashModel, train: ImageSet, eps: str, seed: int = 0
) -> tuple[Any, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    network = train_attacker(
        attack,
        model,
        train,
        torch.from_numpy(encode(model, train.images).codes),
        Threat(Eps.parse(eps)),
        torch.Generator().manual_seed(seed),
        progress=lambda done, total: told.append((done, total)),
    )
    return network, told


def attacked(
    model: HashModel, queries: ImageSet, train: ImageSet, network: nn.Module, eps: str, batch: int
) -> tuple[Tensor, AttackOutcome]:
    codes = encode(model, train.images).codes
    attacker = Attacker(known_of(queries.labels, codes, train.labels), network=network)
    seen: list[Tensor] = []

    class Recorded(Universal):  # type: ignore[misc]
        """Keeps its answers."""

        def perturb(self, *given: Any) -> Tensor:
            seen.append(super().perturb(*given))
            return seen[-1]

    outcome = run_attack(
        Recorded(),
        model,
        queries.images,
        attacker,
        Threat(Eps.parse(eps)),
        range(len(queries)),
        batch=batch,
    )
    return torch.cat(seen), outcome


# One bit; the images of the second class are so far from 0 that float32 gives them no gradient.


@pytest.fixture(scope="module")
def line(linear_hash: Linear) -> tuple[HashModel, ImageSet, Tensor]:
    rng = np.random.default_rng(3)
    weight = rng.uniform(0.5, 1.0, (1, 2, 3, 4)) * rng.choice([-1.0, 1.0], (1, 2, 3, 4))
    # The opposite corner is deep below 0.
    deep = np.where(weight > 0, 0, 255).astype(np.uint8)
    near = rng.integers(80, 176, (20, 2, 3, 4), dtype=np.uint8)
    images = np.concatenate([near, deep.repeat(5, axis=0)])
    scale = 12.0
    reach = (near / 255 * weight).sum(axis=(1, 2, 3)).min()
    bias = -scale * (reach - 0.05)
    labels = np.eye(2, dtype=np.uint8)[[0] * 20 + [1] * 5]
    model = linear_hash(torch.from_numpy(scale * weight).float(), torch.tensor([bias]).float())
    codes = encode(model, images).codes[:, 0]
    assert (codes == np.where(labels[:, 0], 1, -1)).all()
    return model, ImageSet(images, labels), torch.from_numpy(weight[0]).float()


def test_on_a_linear_hash_it_is_the_corner_that_flips_all(
    line: tuple[HashModel, ImageSet, Tensor],
) -> None:
    model, train, weight = line
    # 20 steps of a quarter of eps and less: the way to the corner is eps.
    network, told = trained(Universal(epochs=10, batch=13, first_step=0.25), model, train, "0.05")
    assert torch.equal(network.delta, -0.05 * weight.sign())
    assert told == [(epoch, 10) for epoch in range(1, 11)]
    _, outcome = attacked(model, train, train, network, "0.05", batch=25)
    logits = model.logits(torch.from_numpy(train.images).float() / 255)[:, 0].detach()
    flips = (logits > 0) & (logits / 12 < 0.05 * weight.abs().sum())
    assert flips.any()
    assert np.array_equal(outcome.codes[:, 0], np.where((logits > 0) & ~flips, 1, -1))


def test_its_passes_are_counted_right(line: tuple[HashModel, ImageSet, Tensor]) -> None:
    model, train, _ = line
    codes = torch.from_numpy(encode(model, train.images).codes).float()
    for epochs, batch in ((0, 10), (1, 10), (3, 7), (2, 100)):
        attack = Universal(epochs=epochs, batch=batch)
        seen = AttackedModel(model)
        network = Perturbation((2, 3, 4))
        setup = AttackerSetup(
            model=seen,
            train=train,
            labels=torch.from_numpy(train.labels).float(),
            codes=codes,
            threat=Threat(Eps.parse("0.05")),
            generator=torch.Generator().manual_seed(0),
            progress=lambda *_: None,
        )
        attack.train(network, setup)
        assert seen.forwards == seen.backwards == attack.training_passes(25) == epochs * 25
        assert attack.passes() == 0
        assert bool(network.delta.any()) == (epochs > 0)


def test_settings_and_networks_that_cannot_be_are_refused() -> None:
    for wrong in ({"batch": 0}, {"epochs": -1}, {"first_step": 0.0}):
        with pytest.raises(UsageError):
            Universal(**wrong)
    with pytest.raises(UsageError, match="Linear"):
        _universal.perturbation_of(nn.Linear(1, 1))


# A small trained model, queries that no training image equals.


@pytest.fixture(scope="module")
def garments() -> tuple[HashModel, RetrievalData, Any]:
    dataset = plugins.get("dataset", "fashion")
    assert isinstance(dataset, Dataset)
    data = dataset.load(None)
    torch.manual_seed(0)
    backbone = plugins.get("backbone", "small-cnn", width=4, hidden=32)
    assert isinstance(backbone, Backbone)
    model = HashModel(backbone.build(InputSpec.of(data.train)), 16).train()
    # Each class has a code; the outputs are pulled there.
    wanted = torch.from_numpy(data.train.labels).float() @ torch.randn(10, 16).sign()
    images = torch.from_numpy(data.train.images).float() / 255
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(3):
        for index in torch.randperm(2000).split(100):
            loss = (model(images[index]) - wanted[index]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    return model, data, trained(Universal(epochs=5), model, data.train, "24/255")[0]


def test_the_generator_alone_decides_the_order(
    garments: tuple[HashModel, RetrievalData, Any],
) -> None:
    model, data, _ = garments
    few = ImageSet(data.train.images[:200], data.train.labels[:200])
    attack = Universal(epochs=1, batch=20)
    first, again, other = (
        trained(attack, model, few, "24/255", seed)[0].delta for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_it_lowers_the_agreement_of_images_it_never_saw(
    garments: tuple[HashModel, RetrievalData, Any],
) -> None:
    model, data, network = garments
    codes = encode(model, data.train.images).codes
    centers = center_codes(data.query.labels, codes, data.train.labels)
    images, outcome = attacked(model, data.query, data.train, network, "24/255", batch=500)
    before = (encode(model, data.query.images).codes * centers).mean()
    after = (outcome.codes * centers).mean()
    assert before > 0.5, "the model has learnt nothing"
    assert after < before - 0.05
    # Signs at random, as large, do less.
    coin = torch.rand(network.delta.shape, generator=torch.Generator().manual_seed(1))
    noise = 24 / 255 * torch.where(coin < 0.5, -1.0, 1.0)
    clean = torch.from_numpy(data.query.images).float() / 255
    noisy = (encode(model, (clean + noise).clamp(0, 1).numpy()).codes * centers).mean()
    assert after < noisy - 0.03
    assert images.shape == clean.shape


def test_it_is_the_same_for_all_inside_ball_and_box(
    garments: tuple[HashModel, RetrievalData, Any],
) -> None:
    model, data, network = garments
    radius = 24 / 255
    assert network.delta.abs().max() <= radius
    images, outcome = attacked(model, data.query, data.train, network, "24/255", batch=500)
    clean = torch.from_numpy(data.query.images).float() / 255
    assert torch.equal(images, (clean + network.delta).clamp(0, 1))
    assert (outcome.linf <= radius + 1e-6).all()
    # Where the box does not cut, the difference is one and the same.
    inside = (clean >= radius) & (clean <= 1 - radius)
    changes = (images - clean)[inside]
    expected = network.delta.expand_as(clean)[inside]
    assert torch.allclose(changes, expected, rtol=0, atol=1e-6)
    assert outcome.forwards == outcome.backwards == 0


@pytest.mark.parametrize("batch", [1, 37])
def test_a_batchs_cut_changes_nothing(
    batch: int, garments: tuple[HashModel, RetrievalData, Any]
) -> None:
    model, data, network = garments
    few = ImageSet(data.query.images[:60], data.query.labels[:60])
    whole, one = attacked(model, few, data.train, network, "24/255", batch=60)
    split, other = attacked(model, few, data.train, network, "24/255", batch=batch)
    assert torch.equal(whole, split)
    assert np.array_equal(one.codes, other.codes)


def test_eps_0_gives_the_image(garments: tuple[HashModel, RetrievalData, Any]) -> None:
    model, data, network = garments
    images, outcome = attacked(model, data.query, data.train, network, "0", batch=100)
    assert torch.equal(images, torch.from_numpy(data.query.images).float() / 255)
    assert np.array_equal(outcome.codes, encode(model, data.query.images).codes)
    nothing, _ = trained(Universal(epochs=1), model, data.train, "0")
    assert not nothing.delta.any()
