"""`cgat@released` against CgAT's script, said again in plain lines of tensors, in float64.

The script (`central_adv_train.py`) gives one storage to the codes of its centers and to the outputs
of its hashing loss, and writes the batch's outputs into it whatever the loss is. So the restatement
has one memory, and losses with a memory of their own and without one are compared alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.defending import AdversarialTraining, DefenseSetup
from hashbench.defending.center_guided import CenterGuided
from hashbench.hashing import BackboneNet, BoundLoss, CounterRandom, HashModel, train
from hashbench.hashing.trainer import random_orders

Named = Callable[..., AdversarialTraining]
SetupOf = Callable[..., DefenseSetup]
Bound = Callable[..., BoundLoss]
CleanLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(outputs of a batch, its labels, the memory, all labels) -> the hashing loss."""

ITEMS, CLASSES, BITS, WIDTH = 16, 5, 8, 12
EPOCHS, BATCH, SEED = 3, 8, 7
STEPS = EPOCHS * ITEMS // BATCH


class DoubleModel(HashModel):
    """The hashing model with a hash layer in float64, as the rest of it."""

    def logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.hash_layer(self.backbone((images - self.mean) / self.std))
        return logits


@pytest.fixture
def images() -> NDArray[np.float64]:
    return np.random.default_rng(5).random((ITEMS, 1, 4, 4))


@pytest.fixture
def rows() -> NDArray[np.uint8]:
    """Label rows with one label or three: a sum of as many centers has no zero, so no bit is tied.

    Every label stands in some rows and not in others, so no center code is all zero.
    """
    single = np.eye(CLASSES, dtype=np.uint8)
    triple = np.maximum.reduce([np.roll(single, shift, axis=1) for shift in range(3)])
    return np.concatenate([single, triple, single, single[:1]])


@pytest.fixture
def model() -> DoubleModel:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        hidden = nn.Linear(16, WIDTH)
        net = BackboneNet(nn.Sequential(nn.Flatten(), hidden, nn.ReLU()), WIDTH, (0.5,), (0.25,))
        return DoubleModel(net, BITS).double().eval()


def doubled(loss: BoundLoss) -> BoundLoss:
    """The loss in float64, but for its label rows of 0 and 1, which meet those of a batch."""
    labels = getattr(loss, "labels", None)
    loss.double()
    if labels is not None:
        loss.register_buffer("labels", labels)
    return loss


# The losses of CgAT's `hashing_loss.py`.


def csq(outputs: Tensor, labels: Tensor, _: Tensor, __: Tensor) -> Tensor:
    """The rows of a Hadamard matrix of 8 are its five centers."""
    two = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    centers = torch.kron(two, torch.kron(two, two))[:CLASSES]
    target = 2 * (labels @ centers > 0).double() - 1
    p, t = 0.5 * (outputs + 1), 0.5 * (target + 1)
    entropy = -(t * p.log() + (1 - t) * (1 - p).log()).mean()
    return entropy + 1e-4 * (outputs.abs() - 1).pow(2).mean()


def dch(outputs: Tensor, labels: Tensor, _: Tensor, __: Tensor) -> Tensor:
    def apart(first: Tensor, second: Tensor) -> Tensor:
        norms = (
            first.pow(2).sum(1, keepdim=True).sqrt() @ second.pow(2).sum(1, keepdim=True).sqrt().T
        )
        return (1 - (first @ second.T / norms.clamp(min=1e-4)).clamp(max=0.99)) * BITS / 2

    s = (labels @ labels.T > 0).double()
    w = s * s.numel() / s.sum() + (1 - s) * s.numel() / (1 - s).sum()
    d = apart(outputs, outputs)
    pairs = w * (s * (d / 20).log() + (1 + 20 / d).log())
    loose = (1 + apart(outputs.abs(), torch.ones_like(outputs)) / 20).log()
    return pairs.mean() + 0.1 * loose.mean()


def dph(outputs: Tensor, labels: Tensor, memory: Tensor, all_labels: Tensor) -> Tensor:
    s = 2 * (labels @ all_labels.T > 0).double() - 1
    return (outputs @ memory.T / BITS - s).pow(2).mean()


def dpsh(outputs: Tensor, labels: Tensor, memory: Tensor, all_labels: Tensor) -> Tensor:
    s = (labels @ all_labels.T > 0).double()
    inner = 0.5 * outputs @ memory.T
    likelihood = (1 + (-inner.abs()).exp()).log() + inner.clamp(min=0) - s * inner
    return likelihood.mean() + 1e-3 * (outputs - outputs.sign()).pow(2).mean()


def center_code(y: Tensor, codes: Tensor, labels: Tensor) -> Tensor:
    """The script's, item by item: mean of the relevant codes against mean of the others."""
    found = []
    for row in y:
        near = (row @ labels.T > 0).double().unsqueeze(1)
        far = 1 - near
        found.append((far.sum() * near * codes - near.sum() * far * codes).sum(0).sign())
    return torch.stack(found)


def script(
    start: list[Tensor],
    x: Tensor,
    y: Tensor,
    orders: list[Tensor],
    clean_loss: CleanLoss,
    *,
    outputs_enter: bool = True,
) -> tuple[list[float], list[Tensor], Tensor]:
    """The script's loop: losses of all steps, final weights, final memory."""
    weights = [value.detach().clone().requires_grad_(True) for value in start]
    buffers = [torch.zeros_like(value) for value in weights]
    w1, b1, w2, b2 = weights

    def net(images: Tensor) -> Tensor:
        flat = ((images - 0.5) / 0.25).flatten(1)
        return torch.tanh(torch.relu(flat @ w1.T + b1) @ w2.T + b2)

    memory = net(x).detach().sign()
    generator, eps = torch.Generator().manual_seed(SEED), 8 / 255
    losses: list[float] = []
    for index in [index for order in orders for index in order.split(BATCH)]:
        images, label = x[index], y[index]
        code = center_code(label, memory, y)
        delta = CounterRandom.drawn_from(generator).uniform(images.shape, -eps, eps)[0].double()
        delta = (images + delta).clamp(0, 1) - images
        for _ in range(7):
            delta.requires_grad_(True)
            (slope,) = torch.autograd.grad((net(images + delta) * code).mean(), delta)
            delta = (delta.detach() - 2 / 255 * slope.sign()).clamp(-eps, eps)
            delta = (images + delta).clamp(0, 1) - images
        u_adv, u = net(images + delta), net(images)
        memory[index] = u.detach() if outputs_enter else u.detach().sign()
        clean = clean_loss(u, label, memory, y)
        code = center_code(label, memory, y)
        loss = clean - (u_adv * code).mean()
        # Milestones at 3 and 4.5 of the 6 steps: the scheduler never counts to 4.5.
        rate = 0.01 if len(losses) < 3 else 0.001
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for value, buffer, slope in zip(weights, buffers, slopes, strict=True):
                buffer.mul_(0.9).add_(slope + 5e-4 * value)
                value -= rate * buffer
        losses.append(loss.item())
    return losses, weights, memory


def parameters(model: HashModel) -> list[Tensor]:
    hidden = model.backbone[1]  # type: ignore[index]
    layers = (hidden, model.hash_layer)
    return [value.detach().clone() for layer in layers for value in (layer.weight, layer.bias)]


SCRIPTED: dict[str, CleanLoss] = {"csq": csq, "dch": dch, "dph": dph, "dpsh": dpsh}


@pytest.mark.parametrize("spec", [*SCRIPTED, "greedyhash@cgat"])
def test_six_steps_equal_the_script(
    spec: str,
    images: NDArray[np.float64],
    rows: NDArray[np.uint8],
    model: DoubleModel,
    defense_named: Named,
    setup_of: SetupOf,
) -> None:
    setup = setup_of(model, images, rows, spec=spec, seed=SEED)
    with torch.no_grad():
        outputs = model.outputs(torch.from_numpy(images))
    setup = replace(setup, loss=doubled(setup.loss), outputs=outputs)
    clean_loss = SCRIPTED[spec] if spec in SCRIPTED else greedy(setup.loss)
    start = parameters(model)
    orders = list(random_orders(ITEMS, EPOCHS, seed=1))
    x, y = torch.from_numpy(images), torch.from_numpy(rows).double()
    losses, weights, memory = script(start, x, y, orders, clean_loss)
    assert len(losses) == STEPS

    defense = defense_named("cgat@released", epochs=EPOCHS)
    objective = defense.objective(setup)
    assert isinstance(objective, CenterGuided)
    recipe = replace(defense.recipe(setup.budget), batch=BATCH)
    log = train(model, objective, recipe, images, rows, orders)  # type: ignore[arg-type]

    assert log.losses == pytest.approx(losses, abs=1e-6)
    for found, wanted, first in zip(parameters(model), weights, start, strict=True):
        torch.testing.assert_close(found, wanted.detach(), rtol=0, atol=1e-6)
        assert (wanted - first).abs().max() > 1e-4  # it moved by far more than may differ
    torch.testing.assert_close(objective._codes, memory, rtol=0, atol=1e-6)
    assert not memory.abs().eq(1).any()  # each item's output stands in it, no code


@pytest.mark.parametrize("spec", SCRIPTED)
def test_codes_in_place_of_outputs_are_another_training(
    spec: str, images: NDArray[np.float64], rows: NDArray[np.uint8], model: DoubleModel
) -> None:
    # So the test above would see a memory of codes, with any of the losses.
    x, y = torch.from_numpy(images), torch.from_numpy(rows).double()
    orders = list(random_orders(ITEMS, EPOCHS, seed=1))
    _, soft, _ = script(parameters(model), x, y, orders, SCRIPTED[spec])
    _, hard, _ = script(parameters(model), x, y, orders, SCRIPTED[spec], outputs_enter=False)
    assert max((a - b).abs().max().item() for a, b in zip(soft, hard, strict=True)) > 1e-4


def greedy(loss: BoundLoss) -> CleanLoss:
    """Cross entropy of a linear layer that is never trained; handed in, since it is drawn."""
    fc = loss.fc
    assert isinstance(fc, nn.Linear)
    classifier = fc.weight.detach().clone()

    def clean(outputs: Tensor, labels: Tensor, _: Tensor, __: Tensor) -> Tensor:
        code = outputs + (outputs.sign() - outputs).detach()
        scores = code @ classifier.T
        first = labels.argmax(dim=1)
        chosen = scores.gather(1, first.unsqueeze(1)).squeeze(1)
        entropy = (scores.logsumexp(dim=1) - chosen).mean()
        return entropy + 0.1 * (outputs.abs() - 1).pow(3).abs().mean()

    return clean
