"""Which models have bounds, which have none and what is said of them, and when a model is read."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from hashbench import plugins
from hashbench.certifying import Box, graph, logit_bounds
from hashbench.certifying.program import Program
from hashbench.defending.transformed import TransformedModel, WrappedModel
from hashbench.errors import UncertifiableError
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.contract import Backbone
from hashbench.hashing.headed import HeadedBackbone, Hidden
from hashbench.hashing.model import HashModel
from hashbench.hashing.whole_model import WholeModel
from hashbench.testing.world import world
from support.exact import ExactModel

IMAGES = InputSpec(channels=1, height=8, width=8, mean=(0.3,), std=(0.2,))


def _backbone(text: str) -> Backbone:
    found = plugins.get("backbone", text)
    assert isinstance(found, Backbone)
    return found


def _model(*layers: nn.Module, features: int = 64, bits: int = 3) -> HashModel:
    torch.manual_seed(0)
    module = nn.Sequential(*layers, nn.Flatten())
    return HashModel(BackboneNet(module, features, (0.3,), (0.2,)), bits).eval()


def _box(radius: float = 0.1, channels: int = 1, side: int = 8) -> Box:
    torch.manual_seed(1)
    images = torch.rand(2, channels, side, side)
    return Box((images - radius).clamp(0, 1), (images + radius).clamp(0, 1))


def _holds(model: HashModel, box: Box) -> None:
    """Of 100 images and both ends no logit is outside, and the bounds at one image are its own."""
    bounds = logit_bounds(model, Box(box.lower.double(), box.upper.double()), rounding=True)
    shares = torch.cat([torch.rand(100), torch.tensor([0.0, 1.0])]).view(-1, 1, 1, 1, 1)
    images = box.lower + shares * (box.upper - box.lower)
    with torch.no_grad():
        logits = model.logits(images.flatten(0, 1)).view(len(shares), len(box.lower), -1)
    assert ((bounds.lower <= logits) & (logits <= bounds.upper)).all()
    _is_the_logits_at_a_point(model, box.lower)


def _is_the_logits_at_a_point(model: HashModel, images: Tensor) -> None:
    bounds = logit_bounds(model, Box(images.double(), images.double()))
    with torch.no_grad():
        logits = model.logits(images).double()
    # The logits are sums of float32: by their size, and by that of what cancels in them.
    torch.testing.assert_close(bounds.lower, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(bounds.upper, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", ["small-cnn", "resnet18"])
def test_backbones_have_bounds(backbone: str) -> None:
    text = backbone if backbone == "small-cnn" else f"{backbone}:weights=none"
    net = _backbone(text).build(IMAGES)
    # The mean of a pretrained network is of three channels, and grey images are seen three times.
    _holds(HashModel(net, 3).eval(), _box(0.001))


@pytest.mark.parametrize(
    "backbone",
    [
        *("alexnet", "densenet121", "mobilenet-v2", "mobilenet-v3-small"),
        *("efficientnet-b0", "efficientnet-lite0"),
    ],
)
def test_the_steps_of_a_backbone_are_all_found(backbone: str) -> None:
    side = 63 if backbone == "alexnet" else 32
    images = InputSpec(1, side, side, (0.3,), (0.2,))
    net = _backbone(f"{backbone}:weights=none").build(images)
    _is_the_logits_at_a_point(HashModel(net, 3).eval(), _box(0.0, side=side).lower)


@pytest.mark.parametrize("backbone", ["vit-b-32", "convnext-tiny"])
def test_a_backbone_with_other_layers_is_refused_by_name(backbone: str) -> None:
    images = InputSpec(1, 32, 32, (0.3,), (0.2,))
    net = _backbone(f"{backbone}:weights=none").build(images)
    with pytest.raises(UncertifiableError, match=r"backbone\..* \(LayerNorm"):
        logit_bounds(HashModel(net, 3).eval(), _box(side=32))


def test_a_head_of_hidden_layers_has_bounds() -> None:
    hidden = (Hidden(9, "gelu"), Hidden(7, "leaky-relu"), Hidden(5, "none"))
    net = HeadedBackbone(_backbone("small-cnn"), hidden).build(IMAGES)
    _holds(HashModel(net, 3).eval(), _box())


def test_models_of_other_kinds_have_bounds() -> None:
    base = _model(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU())
    _holds(WrappedModel(base), _box())
    whole = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(18, 3))
    _holds(WholeModel(whole, 3, mean=(0.3,), std=(0.2,)).eval(), _box())
    ends_in_tanh = nn.Sequential(*whole[:2], nn.Flatten(), nn.Linear(18, 3), nn.Tanh())
    _holds(WholeModel(ends_in_tanh, 3, mean=(0.3,), std=(0.2,), bounded=True).eval(), _box())
    net = BackboneNet(nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU()), 5, (0.3,), (0.2,))
    _holds(ExactModel(net, 3).eval(), _box())
    _holds(world().model, _box(0.02, *world().query.images.shape[1:3]))
    _holds(_model(nn.ReLU()).double(), _box())


class _Attention(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.softmax(images, dim=-1) * images


class _Branching(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images if images.mean() > 0 else -images


class _Noisy(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images + torch.randn_like(images)


class _NoiseOfItsOwn(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images + torch.randn(8)


class _NoiseOfASize(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images + torch.rand(images.shape)


class _DroppedWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 8))

    def forward(self, images: Tensor) -> Tensor:
        return F.linear(images, F.dropout(self.weight, 0.5, True))


class _OverTheBatch(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images - images.mean(0, keepdim=True)


class _Dice(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images * random.random()


class _Shared(nn.Module):
    """Adds what it changed meanwhile."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change = change

    def forward(self, images: Tensor) -> Tensor:
        images = images * 1.0
        return images + self.change(images)


def _added(images: Tensor) -> Tensor:
    images += 1.0
    return images


def _parametrized() -> nn.Module:
    layer = nn.Conv2d(1, 1, 3, padding=1)
    parametrizations.weight_norm(layer)
    return layer


def _hooked() -> nn.Module:
    layer = nn.ReLU()
    layer.register_forward_hook(lambda *_: None)
    return layer


def _replaced() -> nn.Module:
    layer = nn.ReLU()
    layer.forward = lambda images: images - 1  # type: ignore[method-assign, assignment]
    return layer


UNKNOWN: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a layer": (lambda: nn.LayerNorm(8), r"backbone\.0 \(LayerNorm\).* no bounds are known"),
    "a padding": (lambda: nn.LPPool2d(2, 1), r"\(LPPool2d\)"),
    "a function": (_Attention, r"\(_Attention\) computes softmax, for which no bounds are known"),
    "a branch": (_Branching, r"\(_Branching\) cannot be followed step by step"),
    "noise": (_Noisy, r"\(_Noisy\) computes randn_like"),
    "noise of its own": (_NoiseOfItsOwn, r"\(_NoiseOfItsOwn\) makes a tensor of its own"),
    "noise of a size": (_NoiseOfASize, r"\(_NoiseOfASize\) computes rand, which may draw"),
    "weights that are dropped": (_DroppedWeights, r"draws at random in training mode"),
    "the batch": (_OverTheBatch, r"\(_OverTheBatch\) takes the mean over all images of a batch"),
    "a number that is drawn": (_Dice, r"something else each time"),
    "a change in place": (lambda: _Shared(torch.relu_), r"in place that is used again"),
    "a sum in place": (lambda: _Shared(_added), r"in place that is used again"),
    "a view in place": (
        lambda: _Shared(lambda x: x.flatten(1).relu_().view(x.shape)),
        r"in place that is used again",
    ),
    "parametrizations": (_parametrized, r"backbone\.0 .*parametrizations"),
    "hooks": (_hooked, r"backbone\.0 \(ReLU\) has forward hooks"),
    "another forward": (_replaced, r"backbone\.0 \(ReLU\) has a forward that was put"),
    "dropout in training": (lambda: nn.Dropout().train(), r"draws at random in training mode"),
    "batch norm in training": (
        lambda: nn.BatchNorm2d(1).train(),
        r"\(BatchNorm2d\) takes its statistics from the batch",
    ),
    "batch norm without statistics": (
        lambda: nn.BatchNorm2d(1, track_running_stats=False),
        r"takes its statistics from the batch",
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_known_is_named(case: str) -> None:
    make, said = UNKNOWN[case]
    model = _model(nn.Identity())
    model.backbone[0] = make()  # type: ignore[operator]
    with pytest.raises(UncertifiableError, match=said):
        logit_bounds(model, _box())


def test_what_draws_transforms_or_rounds_is_refused() -> None:
    base = _model(nn.ReLU())
    with pytest.raises(UncertifiableError, match="transformed before"):
        logit_bounds(TransformedModel(base, torch.round), _box())
    with pytest.raises(UncertifiableError, match="draws at random"):
        logit_bounds(TransformedModel(base, torch.round, draws=4), _box())
    with pytest.raises(UncertifiableError, match="bfloat16"):
        logit_bounds(
            HashModel(BackboneNet(nn.Flatten(), 64, (0.3,), (0.2,)), 3, mixed=True), _box()
        )
    with pytest.raises(UncertifiableError, match=r"hash_layer.weight is float16"):
        logit_bounds(_model(nn.ReLU()).half(), _box())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(value: float) -> None:
    model = _model(nn.Conv2d(1, 1, 3, padding=1))
    with torch.no_grad():
        model.backbone[0].weight[0, 0, 1, 1] = value  # type: ignore[index]
    with pytest.raises(UncertifiableError, match=r"backbone\.0\.weight holds values .* not finite"):
        logit_bounds(model, _box())


def test_a_model_whose_logits_are_changed_behind_its_layers_is_refused() -> None:
    class Shifted(nn.ReLU):
        """Not of torch, so it is followed; what it does to its weights is not seen."""

        def __call__(self, *args: Tensor) -> Tensor:
            return super().__call__(*args) if isinstance(args[0], torch.fx.Proxy) else args[0] + 9

    with pytest.raises(UncertifiableError, match="not what its layers compute"):
        logit_bounds(_model(Shifted()), _box())


def test_bounds_are_differentiable_in_the_weights() -> None:
    model = _model(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), features=128).double()
    box = _box()
    box = Box(box.lower.double(), box.upper.double())

    def width(weight: Tensor) -> Tensor:
        with torch.no_grad():
            model.hash_layer.weight.copy_(weight)
        bounds = logit_bounds(model, box, finite=False)
        return (bounds.upper**2 - bounds.lower).sum()

    start = model.hash_layer.weight.detach().clone()
    model.zero_grad()
    width(start).backward()
    gradient = model.hash_layer.weight.grad
    assert gradient is not None
    step = torch.randn_like(start) * 1e-6
    slope = (width(start + step) - width(start - step)) / 2
    torch.testing.assert_close(slope, (gradient * step).sum(), rtol=1e-5, atol=0)


def test_a_model_is_read_once_and_again_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[HashModel] = []

    def counted(model: HashModel) -> Program:
        reads.append(model)
        return graph.read(model)

    monkeypatch.setattr("hashbench.certifying.bounds.read", counted)
    model, box = _model(nn.ReLU(), nn.Dropout()), _box()
    first = logit_bounds(model, box)
    with torch.no_grad():
        model.hash_layer.weight.mul_(2)
        model.hash_layer.bias.mul_(2)
    torch.testing.assert_close(logit_bounds(model, box).lower, 2 * first.lower)
    assert len(reads) == 1
    model.backbone[0] = nn.Tanh()  # type: ignore[operator]
    _holds(model, box)
    assert len(reads) == 2
    model.train()
    with pytest.raises(UncertifiableError, match="draws at random"):
        logit_bounds(model, box)
    model.eval()
    model.backbone[0].register_forward_pre_hook(lambda *_: None)  # type: ignore[index]
    with pytest.raises(UncertifiableError, match="hooks"):
        logit_bounds(model, box)


def test_no_model_is_kept_alive() -> None:
    model = _model(nn.ReLU())
    logit_bounds(model, _box())
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
