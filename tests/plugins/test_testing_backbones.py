"""The conformance kit on backbones: a wrong one fails just the check of its broken rule."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import hashbench.plugins
from hashbench import UsageError
from hashbench.hashing import BackboneNet, InputSpec
from hashbench.plugins import Backbone, backbone
from hashbench.testing import BACKBONE_CHECKS, check_backbone
from hashbench.testing.backbone_stage import BackboneStage
from hashbench.testing.identity import IDENTITY

FEATURES = 10  # unlike the bits of the kit's own model

Change = Callable[[Tensor, Tensor, nn.Module], Any]


def names(outcomes: Iterable[Any]) -> list[str]:
    return [outcome.check for outcome in outcomes]


def same(features: Tensor, images: Tensor, net: nn.Module) -> Tensor:  # noqa: ARG001
    return features


class Net(nn.Module):
    """One convolution and an average, changed by (features, images, self)."""

    def __init__(self, channels: int, change: Change = same) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, FEATURES, 3, padding=1)
        self.change = change
        self.calls = 0

    def forward(self, images: Tensor) -> Any:
        self.calls += 1
        features = torch.tanh(self.conv(images)).mean(dim=(2, 3))
        return self.change(features, images, self)


def net_of(module: nn.Module, images: InputSpec, features: int = FEATURES) -> BackboneNet:
    return BackboneNet(module, features, images.mean, images.std)


@backbone("sound")
@dataclass(frozen=True)
class Sound(Backbone):
    """Keeps every rule."""

    def build(self, images: InputSpec) -> BackboneNet:
        return net_of(Net(images.channels), images)


def changed(name: str, change: Change) -> type[Backbone]:
    @backbone(name)
    @dataclass(frozen=True)
    class Changed(Backbone):
        """Breaks one rule."""

        def build(self, images: InputSpec) -> BackboneNet:
            return net_of(Net(images.channels, change), images)

        def __reduce__(self) -> Any:
            return by_name, (name,)

    return Changed


def builds(name: str, build: Callable[[InputSpec], Any]) -> type[Backbone]:
    @backbone(name)
    @dataclass(frozen=True)
    class Built(Backbone):
        """Breaks one rule."""

        def build(self, images: InputSpec) -> Any:
            return build(images)

        def __reduce__(self) -> Any:
            return by_name, (name,)

    return Built


def by_name(name: str) -> Any:
    """For copies."""
    return next(wrong for wrong in WRONG if wrong.card.name == name)()


def _raises(*_: Any) -> Tensor:
    raise ZeroDivisionError("something went wrong")


def _in_place(features: Tensor, images: Tensor, net: nn.Module) -> Tensor:  # noqa: ARG001
    images.detach().mul_(0)
    return features


def _by_batch(features: Tensor, images: Tensor, net: nn.Module) -> Tensor:  # noqa: ARG001
    return features - features.mean(dim=0) * (len(features) > 1)


def _counts(features: Tensor, images: Tensor, net: Any) -> Any:  # noqa: ARG001
    return features + 0.01 * net.calls


def _only_evaluates(features: Tensor, images: Tensor, net: nn.Module) -> Tensor:  # noqa: ARG001
    return features.detach() if net.training else features


class Stuck(Net):
    """A part that never leaves training mode."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.part = nn.Dropout(0.0)

    def train(self, mode: bool = True) -> Stuck:
        super().train(mode)
        self.part.training = True
        return self


class Hidden(Net):
    """A weight that stands in no state dict."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.scale = torch.rand(FEATURES)

    def forward(self, images: Tensor) -> Any:
        return super().forward(images) * self.scale


class Extra(Net):
    """What no checkpoint can hold."""

    def get_extra_state(self) -> Any:
        return {"calls": 3}

    def set_extra_state(self, state: Any) -> None: ...


def _hooked(features: Tensor, images: Tensor, net: nn.Module) -> Tensor:  # noqa: ARG001
    def shift(module: nn.Module, given: Any, answer: Any) -> Any:  # noqa: ARG001
        linear = isinstance(module, nn.Linear) and module.out_features != FEATURES
        return answer + 1 if linear else None

    if not HOOKS:
        HOOKS.append(nn.modules.module.register_module_forward_hook(shift))
    return features


HOOKS: list[Any] = []


@pytest.fixture(autouse=True)
def _unhooked() -> Any:
    yield
    while HOOKS:
        HOOKS.pop().remove()


COUNT = itertools.count(1)


@backbone("bare")
@dataclass(frozen=True)
class BareIsAnother(Backbone):
    """Breaks one rule."""

    wide: bool = True

    def build(self, images: InputSpec) -> BackboneNet:
        module = Net(images.channels)
        if self.wide:
            module.conv = nn.Conv2d(images.channels, FEATURES, 5, padding=2)
        return net_of(module, images)

    def bare(self) -> Backbone:
        return BareIsAnother(wide=False)

    def reads(self) -> Any:
        return (os.devnull,)


def _seeded_elsewhere(images: InputSpec) -> BackboneNet:
    module = Net(images.channels)
    generator = torch.Generator().manual_seed(next(COUNT))
    with torch.no_grad():
        module.conv.weight.add_(torch.rand(module.conv.weight.shape, generator=generator))
    return net_of(module, images)


def _fixed_size(images: InputSpec) -> BackboneNet:
    if images.channels == 1:  # the rule on grey images is another one
        return net_of(Net(1), images)
    module = nn.Sequential(nn.Flatten(), nn.LazyLinear(FEATURES))
    size = images.channels * 32 * 32
    module[1] = nn.Linear(size, FEATURES)
    return net_of(module, images)


class ColourOnly(Net):
    """Multiplies by three channels."""

    def forward(self, images: Tensor) -> Any:
        if images.shape[1] == 1:
            raise RuntimeError("expected three channels")
        return super().forward(images)


WRONG: tuple[type[Backbone], ...] = (
    builds("builds", lambda images: Net(images.channels)),
    builds(
        "normalisation",
        lambda images: BackboneNet(
            Net(images.channels), FEATURES, images.mean, (255.0,) * len(images.std)
        ),
    ),
    changed("answers", _raises),
    changed("shape", lambda features, *_: features[:, :5]),
    changed("dtype", lambda features, *_: features.double()),
    changed("finite", lambda features, *_: features / 0 * 0),
    changed(
        "tells-images-apart",
        lambda features, images, _: 0 * features + 0 * images.sum() + 1 + 0.0 * features,
    ),
    changed("leaves-images-alone", _in_place),
    changed("repeats", _counts),
    changed("batch-split", _by_batch),
    changed("gradient", lambda features, *_: features.detach() + 0 * features.detach()),
    changed("trains", _only_evaluates),
    builds("follows-its-mode", lambda images: net_of(Stuck(images.channels), images)),
    builds("other-sizes", _fixed_size),
    builds("grey-images", lambda images: net_of(ColourOnly(images.channels), images)),
    builds("same-seed", _seeded_elsewhere),
    builds("savable", lambda images: net_of(Extra(images.channels), images)),
    builds("state-dict", lambda images: net_of(Hidden(images.channels), images)),
    BareIsAnother,
    changed("leaves-other-models-alone", _hooked),
)

ALSO = {
    "gradient": {"trains"},  # what is cut off from its images is cut off from its weights
    "tells-images-apart": {"gradient"},
}
"""What a wrong one cannot help but break besides."""


def test_a_sound_backbone_passes() -> None:
    report = check_backbone(Sound)
    report.raise_failures()
    assert len(report.passed) >= 25


@pytest.mark.parametrize("wrong", WRONG, ids=lambda plugin: plugin.card.name)
def test_a_wrong_backbone_fails_its_check(wrong: type[Backbone]) -> None:
    report = check_backbone(wrong)
    name = wrong.card.name
    assert set(names(report.failed)) - ALSO.get(name, set()) == {name}, report.failed
    assert all("test_testing_backbones.py:" in outcome.place for outcome in report.failed)


def test_every_check_has_its_wrong_backbone() -> None:
    """But `in-a-model`, which says what the others come to together."""
    checks = {one.name for one in BACKBONE_CHECKS} - {one.name for one in IDENTITY}
    assert {wrong.card.name for wrong in WRONG} == checks - {"in-a-model"}


def test_a_refusal_by_name_is_no_failure() -> None:
    @backbone("large")
    @dataclass(frozen=True)
    class Large(Sound):
        """Takes images from 60 pixels on, and colour alone."""

        def build(self, images: InputSpec) -> BackboneNet:
            if images.height < 60 or images.channels != 3:
                raise UsageError("needs larger images, in colour")
            return super().build(images)

    report = check_backbone(Large())
    failed = [one for one in report.failed if one.check not in ("copyable", "round-trip")]
    assert not failed
    assert "refuses images of 1 x 64 x 64" in [one.sentence for one in report.skipped]


class TwoLayers(nn.Module):
    """A second convolution on the first, which is cut off, left out by chance, or neither."""

    def __init__(self, channels: int, cut: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, FEATURES, 3, padding=1)
        self.second = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.spare = nn.Linear(2, 2) if "spare" in cut else nn.Identity()
        if "frozen" in cut:
            self.spare.requires_grad_(False)
        self.cut = cut

    def forward(self, images: Tensor) -> Tensor:
        first = torch.tanh(self.first(images))
        if self.training and self.cut == "first":
            first = first.detach()
        if self.training and self.cut == "by chance" and torch.rand(()) < 0.5:
            return first.mean(dim=(2, 3))
        return torch.tanh(self.second(first)).mean(dim=(2, 3))


@pytest.mark.parametrize(
    ("cut", "sentence"),
    [
        ("nothing", ""),
        ("by chance", ""),
        ("frozen spare", ""),
        ("first", "2 of its 4 weights get no gradient, the first is 'first.weight'"),
        ("spare", "2 of its 6 weights get no gradient, the first is 'spare.weight'"),
    ],
)
def test_every_weight_has_to_get_a_gradient(cut: str, sentence: str) -> None:
    two = builds("two", lambda images: net_of(TwoLayers(images.channels, cut), images))
    found = [
        one for one in check_backbone(two).failed if one.check not in ("copyable", "round-trip")
    ]
    assert names(found) == (["trains"] if sentence else []), found
    assert all(sentence in one.sentence for one in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", hashbench.plugins.names("backbone"))
def test_every_weight_of_our_own_backbones_gets_one(name: str) -> None:
    given = "timm:model=resnet10t" if name == "timm" else name
    backbone = hashbench.plugins.get("backbone", given)
    assert isinstance(backbone, hashbench.plugins.Backbone)
    stage = BackboneStage(backbone)
    [trains] = [one for one in BACKBONE_CHECKS if one.name == "trains"]
    trains.run(stage)


def test_nothing_is_fetched() -> None:
    @backbone("fetching")
    @dataclass(frozen=True)
    class Fetching(Sound):
        """Would download."""

        pretrained: bool = True

        def build(self, images: InputSpec) -> BackboneNet:
            assert not self.pretrained, "it was built with weights that have to be fetched"
            return super().build(images)

        def bare(self) -> Backbone:
            return Fetching(pretrained=False)

    report = check_backbone(Fetching())
    assert not [one for one in report.failed if one.check not in ("copyable", "round-trip")]
    assert "its own weights would be fetched" in [one.sentence for one in report.skipped]
