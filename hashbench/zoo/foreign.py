"""Weights of other repositories: their state dicts renamed to HashModel's keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hashbench.characters import shortened, shown
from hashbench.errors import UsageError
from hashbench.hashing.model import HashModel
from hashbench.hashing.state_dict import (
    fitted,
    is_finite,
    read_state,
    refuse_problems,
    with_wanted_keys,
)
from hashbench.hashing.weights.unwrapped import keys_shown
from hashbench.plugins.parameters import Spec
from hashbench.retrieval.packing import MAX_BITS


@dataclass(frozen=True)
class _Rule:
    """Keys that match are renamed; those whose new name is None are left out."""

    pattern: str
    name: str | None


@dataclass(frozen=True)
class _Layout:
    """How one family of backbones is laid out in other repositories.

    Attributes:
        backbones: the names of ours that it fits, as a pattern.
        keys: what its keys look like, for people.
        rules: the first one that matches a whole key decides.
    """

    backbones: str
    keys: str
    rules: tuple[_Rule, ...]

    def rule(self, key: str) -> _Rule | None:
        """The one that decides about a key."""
        return next((rule for rule in self.rules if re.fullmatch(rule.pattern, key)), None)


def _classified(first: int, second: int) -> tuple[_Rule, ...]:
    """AlexNet and VGG: fc6 and fc7 are `classifier.first` and `.second`, the hash layer is `.6`."""
    kept = rf"({first}|{second})\.(\w+)"
    return (
        _Rule(r"features\.(.+)", r"backbone.features.\1"),
        _Rule(rf"classifier\.{kept}", r"backbone.classifier.\1.\2"),
        _Rule(r"classifier\.6\.(\w+)", r"hash_layer.\1"),
        _Rule(r"cl1\.(\w+)", rf"backbone.classifier.{first}.\1"),
        _Rule(r"cl2\.(\w+)", rf"backbone.classifier.{second}.\1"),
        # HashNet's form, with the convolutions and the classifier registered a second time.
        _Rule(rf"classifier\.classifier{kept}", r"backbone.classifier.\1.\2"),
        _Rule(r"feature_layers\.0\.(.+)", r"backbone.features.\1"),
        _Rule(rf"feature_layers\.1\.classifier{kept}", r"backbone.classifier.\1.\2"),
        _Rule(r"hash_layer\.(\w+)", r"hash_layer.\1"),
    )


_CLASSIFIED = "'features.*', 'classifier.*', 'hash_layer.*'"
_RESNET_STAGES = {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3", 7: "layer4"}

_LAYOUTS = (
    _Layout(r"alexnet", _CLASSIFIED, _classified(1, 4)),
    _Layout(r"vgg\d+(-bn)?", _CLASSIFIED, _classified(0, 3)),
    _Layout(
        r"resnet\d+",
        "'conv1.weight', 'bn1.*', 'layer1.*' to 'layer4.*', 'hash_layer.*'",
        (
            _Rule(r"((?:conv1|bn1|layer[1-4])\..+)", r"backbone.\1"),
            *(
                _Rule(rf"feature_layers\.{place}\.(.+)", rf"backbone.{stage}.\1")
                for place, stage in _RESNET_STAGES.items()
            ),
            _Rule(r"hash_layer\.(\w+)", r"hash_layer.\1"),
        ),
    ),
    _Layout(
        r"densenet\d+",
        "'features.*', 'hash_layer.*'",
        (
            _Rule(r"features\.(.+)", r"backbone.features.\1"),
            _Rule(r"feature_layers\.0\.(.+)", r"backbone.features.\1"),
            _Rule(r"classifier\.\w+", None),  # ImageNet's, which no output depends on
            _Rule(r"hash_layer\.(\w+)", r"hash_layer.\1"),
        ),
    ),
)


def read_foreign(path: Path, backbone: str) -> dict[str, Tensor]:
    """A checkpoint of the CgAT or SAAT repository under HashModel's keys.

    Known are the layouts of AlexNet, VGG, ResNet and DenseNet there, those of HashNet (`AlexNetFc`,
    `VGGFc`, `ResNetFc`) included. Layers that were registered twice must hold equal tensors.
    Normalisation is not in these files: both repositories use ImageNet's.

    Args:
        path: see `read_state`.
        backbone: the name of our backbone, with or without parameters.

    Returns:
        `backbone.*` and `hash_layer.*`, without `mean` and `std`.

    Raises:
        UsageError: as `read_state`; a backbone without a known layout; a key that the layout does
            not have; a tensor that is not finite; two tensors for one layer that differ.
    """
    layout = _layout(backbone)
    named = Spec.parse(backbone).name
    state = read_state(path, lambda key: layout.rule(key) is not None)
    if not any(map(layout.rule, state)):
        raise UsageError(
            f"weights {path} is no checkpoint of {named}: {keys_shown(state)}, "
            f"expected {layout.keys}"
        )
    renamed: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    twins: list[tuple[str, str]] = []
    problems = []
    for key, value in state.items():
        rule = layout.rule(key)
        if rule is None:
            problems.append(f"'{shown(shortened(key))}' is not known")
        elif rule.name is not None:
            name = re.sub(rule.pattern, rule.name, key)
            if origin.setdefault(name, key) != key:
                twins.append((name, key))
            renamed.setdefault(name, value)
    # No value is looked at in a file whose keys are not those of the network.
    refuse_problems(path, f"is no checkpoint of {named}", problems)
    problems = [
        f"'{shown(shortened(key))}' holds values that are not finite"
        for key, value in state.items()
        if (rule := layout.rule(key)) is not None and rule.name is not None
        if not is_finite(value)
    ]
    problems += [
        f"'{one}' and '{two}' are one layer, but differ"
        for name, key in twins
        for one, two in [(shown(shortened(origin[name])), shown(shortened(key)))]
        if not torch.equal(renamed[name], state[key])
    ]
    refuse_problems(path, f"is no checkpoint of {named}", problems)
    return renamed


def bits_of(state: Mapping[str, Tensor]) -> int:
    """The code length K of a state dict under HashModel's keys, read off its hash layer.

    Raises:
        UsageError: it has no hash layer, or one of more bits than codes can have.
    """
    weight = state.get("hash_layer.weight")
    if weight is None or weight.ndim != 2:
        raise UsageError("the state dict has no hash layer, so it is no hashing model")
    bits = len(weight)
    if not 1 <= bits <= MAX_BITS:
        raise UsageError(
            f"the state dict's hash layer gives {bits:,} bits, expected 1 to {MAX_BITS}"
        )
    return bits


def load_foreign(path: Path, model: HashModel, backbone: str) -> HashModel:
    """Load a checkpoint of the CgAT or SAAT repository into a model.

    Args:
        path: see `read_foreign`.
        model: receives the weights in place; its normalisation stays.
        backbone: the name of its backbone.

    Returns:
        The model.

    Raises:
        UsageError: as `read_foreign`; keys or shapes that do not fit. Nothing is loaded then.
    """
    state = _with_normalisation(read_foreign(path, backbone), model)
    model.load_state_dict(fitted(state, model.state_dict(), f"weights {path}"))
    return model


def refuse_other_network(state: Mapping[str, Tensor], model: HashModel, path: Path) -> None:
    """Hold a state dict's keys, shapes and types against a model; no value is looked at.

    Args:
        state: see `read_foreign`.
        model: may lie on the device `meta`, so that nothing is allocated for it.
        path: where the state dict is from.

    Raises:
        UsageError: keys, shapes or types that do not fit.
    """
    with_wanted_keys(_with_normalisation(state, model), model.state_dict(), f"weights {path}")


def _with_normalisation(state: Mapping[str, Tensor], model: HashModel) -> dict[str, Tensor]:
    return {**state, "mean": model.mean, "std": model.std}


def _layout(backbone: str) -> _Layout:
    name = Spec.parse(backbone).name
    for layout in _LAYOUTS:
        if re.fullmatch(layout.backbones, name):
            return layout
    raise UsageError(
        f"backbone '{name}': no layout of other repositories is known for it, only those of "
        "alexnet, vgg*, resnet* and densenet*"
    )
