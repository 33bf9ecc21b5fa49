"""The batches of an epoch: a rest of one image joins the batch before it, else it is a split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hashbench import plugins
from hashbench.errors import TrainingError
from hashbench.hashing import BackboneNet, HashModel, InputSpec, LossSetup, Recipe, train
from hashbench.hashing.backbones import torchvision as torchvision_nets
from hashbench.hashing.batches import batches, number_of_batches, refuse_single_images
from hashbench.hashing.trainer import PlainObjective, random_orders
from hashbench.plugins import Backbone, Loss

MEAN, STD = (0.5,) * 3, (0.2,) * 3


@pytest.mark.parametrize("count", range(1, 30))
@pytest.mark.parametrize("size", range(1, 12))
def test_only_a_rest_of_one_is_cut_otherwise(count: int, size: int) -> None:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
    found, plain = batches(order, size), order.split(size)
    assert torch.equal(torch.cat(found), order)
    assert len(found) == number_of_batches(count, size)
    if size > 1 and count > 1 and count % size == 1:
        assert [len(part) for part in found] == [size] * (count // size - 1) + [size + 1]
    else:
        assert all(torch.equal(*pair) for pair in zip(found, plain, strict=True))


# Those that are cheap to build; vision transformers have no norm over a batch.
CHEAP = (
    "alexnet",
    "densenet121",
    "efficientnet-b0",
    "mobilenet-v2",
    "mobilenet-v3-large",
    "mobilenet-v3-small",
    "resnet18",
    "resnet50",
    "swin-t",
)


@pytest.mark.parametrize("name", ["small-cnn", *CHEAP])
def test_a_rest_of_one_is_trained_on_at_the_smallest_side(name: str) -> None:
    row = torchvision_nets.TABLE.get(name)
    side = 1 if row is None else row.smallest
    model, trained = built(name, side), 0
    for count in (5, 9):  # of 4: rests of one
        trained += steps(model, side, count, batch=4)
    assert trained == 3


def built(name: str, side: int) -> HashModel:
    plugin = plugins.get("backbone", name)
    assert isinstance(plugin, Backbone)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return HashModel(plugin.bare().build(InputSpec(3, side, side, MEAN, STD)), 8).eval()


def steps(model: HashModel, side: int, count: int, batch: int) -> int:
    """How many steps an epoch took."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    labels = np.eye(3, dtype=np.uint8)[np.arange(count) % 3]
    plugin = plugins.get("loss", "csq")
    assert isinstance(plugin, Loss)
    rows = torch.from_numpy(labels).float()
    loss = plugin.bind(LossSetup(rows, 8, torch.Generator().manual_seed(0)))
    orders = random_orders(count, 1, seed=0)
    log = train(model, PlainObjective(model, loss), Recipe(1, batch=batch), pixels, labels, orders)
    return len(log.losses)


class Norm(nn.Module):
    """Statistics over the batch, dropout, and a count of what was seen."""

    seen: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        features: torch.Tensor = self.dropout(self.norm(images.mean(dim=(2, 3))))
        return features


@pytest.mark.parametrize(
    ("count", "batch", "why"), [(1, 4, "train set has one image"), (6, 1, "batches are of one")]
)
def test_a_network_that_needs_several_images_is_refused_before_the_training(
    count: int, batch: int, why: str
) -> None:
    model = HashModel(BackboneNet(Norm(), 3, MEAN, STD), 8).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(TrainingError, match=f"{why}.*batches of 2 images or more") as refusal:
        steps(model, 2, count, batch)
    assert "\n" not in str(refusal.value)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_looking_for_it_leaves_no_trace() -> None:
    # One value per channel of 2 x 2 pixels is not what this norm sees, so one image will do.
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten())
    model = HashModel(BackboneNet(net, 12, MEAN, STD), 8).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    refuse_single_images(model, np.zeros((1, 3, 2, 2), dtype=np.uint8), Recipe(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert steps(model, 2, 1, 4) == 1
    assert steps(model, 2, 3, 1) == 3
