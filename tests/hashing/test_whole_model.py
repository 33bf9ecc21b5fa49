"""Models that are given whole: any module with (B, K) values, named losses and networks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.errors import ModelError, UsageError
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.encode import device_of
from hashbench.hashing.model import HashModel
from hashbench.hashing.named import NamedBackbone, NamedLoss
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.whole_model import WholeModel
from hashbench.plugins.parameters import canonical
from hashbench.runner.fingerprint import describe

BITS = 6
IMAGES = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Gives(nn.Module):
    """A network without a parameter that gives what it was made with."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value

    @override
    def forward(self, images: Tensor) -> object:
        return self.value


def hash_model() -> HashModel:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 7), nn.ReLU())
    return HashModel(BackboneNet(net, 7, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)), BITS).eval()


def test_a_module_is_the_model_that_is_made_of_its_parts() -> None:
    model = hash_model()
    whole = WholeModel(
        nn.Sequential(model.backbone, model.hash_layer),
        BITS,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.4),
    )
    assert torch.equal(whole.logits(IMAGES), model.logits(IMAGES))
    assert torch.equal(whole.codes(IMAGES), model.codes(IMAGES))
    assert whole.differentiable


def test_a_network_that_ends_in_a_tanh_keeps_its_outputs_and_their_gradient() -> None:
    """In float64: `tanh(atanh(u)) = u` and the chain rule, up to a few roundings."""
    model = hash_model().double()
    net = nn.Sequential(model.backbone, model.hash_layer, nn.Tanh())
    bounded = WholeModel(net, BITS, bounded=True).double()
    plain, again = (IMAGES.double().requires_grad_() for _ in range(2))
    found, wanted = bounded.outputs(plain), net(again)
    torch.testing.assert_close(found, wanted, rtol=1e-14, atol=1e-15)
    (one,) = torch.autograd.grad(found.sum(), plain)
    (two,) = torch.autograd.grad(wanted.sum(), again)
    torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saturated_outputs_stay_saturated_and_give_a_zero_gradient(dtype: torch.dtype) -> None:
    class Saturated(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tanh(1e4 * (images.flatten(1)[:, :3] - 0.5).sign() + images.sum())

    images = IMAGES.to(dtype).requires_grad_()
    model = WholeModel(Saturated(), 3, bounded=True).to(dtype)
    outputs = model.outputs(images)
    assert bool((outputs.abs() == 1).all())
    assert torch.equal(torch.autograd.grad(outputs.sum(), images)[0], torch.zeros_like(images))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.zeros(5, 4), r"shape \(5, 6\) for 5 images, but gave torch.float32 of shape \(5, 4"),
        (torch.zeros(1, 6), r"but gave torch.float32 of shape \(1, 6\)"),
        (torch.zeros(5, 6, dtype=torch.int64), "must give floats .* but gave torch.int64"),
        ((torch.zeros(5, 6),), "one tensor .* but gave a value of type tuple"),
        (torch.full((5, 6), math.nan), "not finite"),
        (torch.full((5, 6), math.inf), "not finite"),
    ],
)
def test_what_is_no_code_is_said(value: object, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        WholeModel(Gives(value), BITS).logits(IMAGES)


def test_values_beyond_a_tanh_are_said() -> None:
    with pytest.raises(ModelError, match=r"end in a tanh, but gave a value of 1.5"):
        WholeModel(Gives(torch.full((5, 6), -1.5)), BITS, bounded=True).logits(IMAGES)


@pytest.mark.parametrize(
    ("mean", "std", "said"),
    [
        ((0.5,), (0.0,), "above 0"),
        ((math.nan,), (1.0,), "finite"),
        ((), (), "finite"),
        ((0.1, 0.2, 0.3), (1.0,), "must agree"),
    ],
)
def test_a_normalisation_that_is_none_is_refused(
    mean: tuple[float, ...], std: tuple[float, ...], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        WholeModel(Gives(None), BITS, mean=mean, std=std)


def test_grey_images_are_repeated_by_three_means_and_left_by_one() -> None:
    class Channels(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.full((len(images), 1), float(images.shape[1]))

    grey = IMAGES[:, :1]
    assert float(WholeModel(Channels(), 1).logits(grey)[0]) == 1
    assert float(WholeModel(Channels(), 1, mean=(0, 0, 0), std=(1, 1, 1)).logits(grey)[0]) == 3


def test_a_network_without_parameters_has_a_device() -> None:
    assert device_of(WholeModel(Gives(None), BITS)) == torch.device("cpu")


def test_names_alone_stand_in_rows_and_keys_and_build_nothing() -> None:
    loss, backbone = NamedLoss("my triplet, margin 0.3"), NamedBackbone("resnet18 + two layers")
    assert (canonical(loss), canonical(backbone)) == (
        "my triplet, margin 0.3",
        "resnet18 + two layers",
    )
    assert canonical(NamedLoss()) == "unstated"
    assert loss == NamedLoss("my triplet, margin 0.3") != NamedLoss()
    assert len({loss, NamedLoss("my triplet, margin 0.3"), NamedLoss()}) == 2
    assert describe(loss)["name"] == "my triplet, margin 0.3"
    setup = LossSetup(labels=torch.eye(3), bits=4, generator=torch.Generator())
    with pytest.raises(UsageError, match="nothing can be trained"):
        loss.bind(setup)
    with pytest.raises(UsageError, match="no other one like it"):
        backbone.build(InputSpec(3, 4, 4, (0.5,) * 3, (0.2,) * 3))


@pytest.mark.parametrize("name", ["", " a", "a\n", "\x1b[31m", "a" * 61])
def test_names_that_cannot_be_shown_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="characters that can be printed"):
        NamedLoss(name)
