"""The prototype network: its loss against vectors and a slow form, and ATRDH's training of it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.attacking import (
    PrototypeTargets,
    prototype_loss,
    prototype_network,
    target_rows,
)
from hashbench.attacking import circle_loss as our_circle_loss
from hashbench.defending import AdversarialTraining, DefenseSetup
from hashbench.hashing import BackboneNet, CounterRandom, HashModel, relevant
from support.exact import same_gradient, same_loss

Vectors = Callable[[str], Mapping[str, NDArray[Any]]]
Named = Callable[..., AdversarialTraining]
SetupOf = Callable[..., DefenseSetup]
Build = Callable[..., HashModel]

ATRDH = importlib.import_module("hashbench.defenses.atrdh")


def circle_loss(similarity: Tensor, positive: Tensor, softplus: bool, square: bool) -> Tensor:
    return our_circle_loss(similarity, positive, softplus=softplus, square_mask=square)


@pytest.mark.parametrize(("case", "softplus"), [("proto_saat", True), ("proto_sigir", False)])
def test_circle_loss_of_the_repositories(case: str, softplus: bool, vectors: Vectors) -> None:
    arrays = {name: torch.from_numpy(value) for name, value in vectors("attack_losses").items()}
    prototypes = arrays["proto_in"].clone().requires_grad_(True)
    positive = relevant(arrays["proto_target_labels"], arrays["proto_train_labels"])
    similarity = prototypes @ arrays["proto_train_codes"].T / prototypes.shape[1]
    loss = circle_loss(similarity, positive, softplus, square=True) / len(prototypes)
    (gradient,) = torch.autograd.grad(loss, prototypes)
    same_loss(loss, arrays[f"{case}_loss"])
    same_gradient(gradient, arrays[f"{case}_grad"])


@pytest.mark.parametrize(("case", "softplus"), [("proto_saat", True), ("proto_sigir", False)])
def test_pairs_that_the_repositories_count(case: str, softplus: bool, vectors: Vectors) -> None:
    # A pair counts exactly where the loss has a gradient by its similarity.
    arrays = {name: torch.from_numpy(value) for name, value in vectors("attack_losses").items()}
    prototypes, codes = arrays["proto_in"], arrays["proto_train_codes"]
    similarity = (prototypes @ codes.T / prototypes.shape[1]).requires_grad_(True)
    positive = relevant(arrays["proto_target_labels"], arrays["proto_train_labels"])
    loss = circle_loss(similarity, positive, softplus, square=True)
    (gradient,) = torch.autograd.grad(loss, similarity)
    for side, pulled in (("sp", positive > 0), ("sn", positive == 0)):
        found = similarity.detach()[(gradient != 0) & pulled]
        torch.testing.assert_close(found, arrays[f"{case}_{side}"], rtol=1e-5, atol=1e-7)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 5),
    items=st.integers(2, 7),
    softplus=st.booleans(),
    square=st.booleans(),
)
def test_circle_loss_is_its_formula(
    seed: int, batch: int, items: int, softplus: bool, square: bool
) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(-1, 1, (batch, items))
    positive = rng.random((batch, items)) < 0.5
    near, far = [], []
    for i in range(batch):
        for j in range(items):
            if square and j <= i:
                continue
            s = similarity[i, j]
            if positive[i, j]:
                near.append(math.exp(-max(2 - s, 0) * s))
            else:
                far.append(math.exp(max(s + 2, 0) * s))
    if not near and not far:
        return
    total = math.log(sum(near) or 1) + math.log(sum(far) or 1)
    wanted = math.log1p(math.exp(total)) if softplus else total
    found = circle_loss(
        torch.from_numpy(similarity), torch.from_numpy(positive).double(), softplus, square
    )
    assert float(found) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_the_square_mask_drops_what_is_not_above_the_diagonal() -> None:
    rng = torch.Generator().manual_seed(0)
    similarity = (2 * torch.rand(4, 9, generator=rng) - 1).requires_grad_(True)
    positive = (torch.rand(4, 9, generator=rng) < 0.5).float()
    for square in (True, False):
        loss = circle_loss(similarity, positive, True, square)
        (gradient,) = torch.autograd.grad(loss, similarity)
        kept = torch.ones(4, 9).triu(diagonal=1) if square else torch.ones(4, 9)
        assert torch.equal(gradient != 0, kept.bool())


@pytest.mark.parametrize(("case", "softplus"), [("proto_saat", True), ("proto_sigir", False)])
def test_prototype_loss_is_circle_loss_and_quantisation(
    case: str, softplus: bool, vectors: Vectors
) -> None:
    arrays = {name: torch.from_numpy(value) for name, value in vectors("attack_losses").items()}
    prototypes = arrays["proto_in"]
    positive = relevant(arrays["proto_target_labels"], arrays["proto_train_labels"])
    loss = prototype_loss(
        prototypes, arrays["proto_train_codes"], positive, softplus=softplus, square_mask=True
    )
    wanted = arrays[f"{case}_loss"] + arrays["proto_regterm"]
    same_loss(loss, wanted)


def test_target_rows_are_distinct_and_hold_a_label() -> None:
    labels = torch.tensor([[0.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]])
    assert target_rows(labels).tolist() == [[0, 0, 1], [0, 1, 1], [1, 0, 0]]


def test_weights_come_from_the_generator_or_from_the_process() -> None:
    def weight(generator: torch.Generator | None, seed: int) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            drawn: Tensor = prototype_network(4, 3, generator).state_dict()["3.weight"]
            return drawn

    own = [weight(torch.Generator().manual_seed(5), seed) for seed in (0, 1)]
    assert torch.equal(*own)
    assert torch.equal(weight(None, 0), weight(None, 0))
    assert not torch.equal(weight(None, 0), weight(None, 1))


def prototype_training(
    named: Named, setup_of: SetupOf, model: HashModel, data: tuple[NDArray[np.uint8], ...], **s: Any
) -> Any:
    return ATRDH.PrototypeTraining(named("atrdh", **s), setup_of(model, *data))


def test_a_step_descends_circle_loss_and_quantisation_and_returns_earlier_codes(
    vectors: Vectors, defense_named: Named, setup_of: SetupOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = {name: torch.from_numpy(value) for name, value in vectors("attack_losses").items()}
    start = arrays["proto_in"]
    count, bits = start.shape

    class Given(nn.Module):
        """A 'network' whose weights are the prototypes themselves."""

        def __init__(self) -> None:
            super().__init__()
            self.prototypes = nn.Parameter(start.clone())

        def forward(self, labels: Tensor) -> Tensor:
            assert torch.equal(labels, arrays["proto_target_labels"])
            return self.prototypes

    model = HashModel(BackboneNet(nn.Flatten(), 4, (0.5,), (0.5,)), bits)
    labels = arrays["proto_train_labels"].numpy().astype(np.uint8)
    pixels = np.zeros((len(labels), 1, 2, 2), dtype=np.uint8)
    training = prototype_training(defense_named, setup_of, model, (pixels, labels))
    training._targets = PrototypeTargets(
        arrays["proto_target_labels"], torch.from_numpy(labels).double()
    )
    training._network = Given()
    # Plain descent with rate 1, so that the change is the gradient.
    training._optimizer = torch.optim.SGD(training._network.parameters(), lr=1.0)
    monkeypatch.setattr(CounterRandom, "integers", lambda *_: torch.arange(count).unsqueeze(0))
    codes = training.step(arrays["proto_train_codes"], torch.arange(count))
    assert torch.equal(codes, torch.where(start >= 0, 1.0, -1.0))
    # The network's loss is circle / b + sum((sign p - p)^2) / (1e4 b).
    quantisation = 2 * (start - start.sign()) / 1e4 / count
    wanted = arrays["proto_saat_grad"] + quantisation
    found = start - training._network.prototypes.detach()
    same_gradient(found, wanted)
    regular = (start.sign() - start).square().sum() / 1e4 / count
    same_loss(regular, arrays["proto_regterm"])


@pytest.mark.parametrize("square_mask", [False, True])
@pytest.mark.parametrize("softplus", [False, True])
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_pairs_that_are_known_give_the_loss_of_the_masks_to_the_bit(
    classes: int, softplus: bool, square_mask: bool
) -> None:
    """With one class nothing is far, and in two a side may be missing."""
    draw = torch.Generator().manual_seed(classes)
    rows = torch.eye(classes)
    labels = rows[torch.randint(classes, (40,), generator=draw)]
    prototypes = torch.rand(7, 8, generator=draw) * 2 - 1
    codes = torch.where(torch.rand(40, 8, generator=draw) < 0.5, -1.0, 1.0)
    targets, sides = PrototypeTargets(rows, labels).draw(7, draw, square_mask=square_mask)
    found = []
    for positive in (relevant(targets, labels), sides):
        point = prototypes.clone().requires_grad_(True)
        loss = prototype_loss(point, codes, positive, softplus=softplus, square_mask=square_mask)
        found.append((loss.detach(), *torch.autograd.grad(loss, point)))
    assert all(map(torch.equal, *found))


def test_the_network_has_the_published_layers() -> None:
    network = prototype_network(21, 16, torch.Generator().manual_seed(0))
    kinds = [type(layer).__name__ for layer in network]
    assert kinds == ["Linear", "ReLU", "Linear", "Linear", "Tanh"]
    shapes = [tuple(layer.weight.shape) for layer in network if isinstance(layer, nn.Linear)]
    assert shapes == [(4096, 21), (512, 4096), (16, 512)]
    for layer in network:
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            assert layer.weight.abs().max() <= bound
            # Uniform: its standard deviation is the bound over sqrt 3.
            assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_the_generator_alone_decides_what_is_drawn(
    defense_named: Named,
    setup_of: SetupOf,
    small_model: Build,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    codes = torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], (20, 6))).float()
    drawn = []
    for process_wide, seed in ((1, 0), (2, 0), (1, 5)):
        torch.manual_seed(process_wide)
        setup = setup_of(small_model(), pixels, labels, seed=seed)
        training = ATRDH.PrototypeTraining(defense_named("atrdh"), setup)
        drawn.append(torch.cat([training.step(codes, torch.arange(9)) for _ in range(2)]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_prototypes_learn_to_be_near_what_is_relevant(
    defense_named: Named,
    setup_of: SetupOf,
    small_model: Build,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    # Three well separated classes: a prototype ends at the code of its own class.
    rng = np.random.default_rng(5)
    centers = np.array([[1, 1, 1, 1, -1, -1], [1, -1, -1, 1, 1, 1], [-1, 1, -1, -1, 1, -1]])
    codes = torch.from_numpy(centers[labels.argmax(axis=1)]).float()
    training = prototype_training(
        defense_named, setup_of, small_model(), (pixels, labels), square_mask=False
    )
    for _ in range(25):
        training.step(codes, torch.from_numpy(rng.integers(0, 20, 20)))
    with torch.no_grad():
        prototypes = training._network(torch.eye(3))
    assert torch.equal(prototypes.sign(), torch.from_numpy(centers).float())
