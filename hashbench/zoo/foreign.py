"""Weights of other repositories: their state dicts renamed to HashModel's keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hashbench.characters import briefly
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
    found = by_layout(state, named)
    # No value is looked at in a file whose keys are not those of the network.
    problems = [f"'{briefly(key)}' is not known" for key in found.rest]
    refuse_problems(path, f"is no checkpoint of {named}", problems)
    found.refuse_unsound(path, named)
    return found.state


@dataclass(frozen=True)
class Renamed:
    """A state dict of which a part has HashModel's keys.

    Attributes:
        state: by HashModel's keys.
        rest: what has no key there, by the file's.
        origin: the file's keys of `state`.
        twins: keys of HashModel, each with another key of the file that says the same.
        given: the state dict as the file has it.
    """

    state: dict[str, Tensor]
    rest: dict[str, Tensor]
    origin: Mapping[str, str]
    twins: tuple[tuple[str, str], ...]
    given: Mapping[str, Tensor]

    def refuse_unsound(self, path: Path, backbone: str) -> None:
        """Look at the values of what is known.

        Raises:
            UsageError: a tensor that is not finite; two tensors for one layer that differ.
        """
        keys = [*self.origin.values(), *(key for _, key in self.twins)]
        problems = [
            f"'{briefly(key)}' holds values that are not finite"
            for key in keys
            if not is_finite(self.given[key])
        ]
        problems += [
            f"'{briefly(self.origin[name])}' and '{briefly(key)}' are one layer, but differ"
            for name, key in self.twins
            if not torch.equal(self.state[name], self.given[key])
        ]
        refuse_problems(path, f"is no checkpoint of {backbone}", problems)


def by_layout(state: Mapping[str, Tensor], backbone: str) -> Renamed:
    """A state dict under HashModel's keys, as far as it is in a layout that is known by name.

    Args:
        state: by the file's keys.
        backbone: the name of our backbone; of one without a known layout all is left as it is.
    """
    layout = next((one for one in _LAYOUTS if re.fullmatch(one.backbones, backbone)), None)
    rules = {} if layout is None else {key: layout.rule(key) for key in state}
    named = {
        key: re.sub(rule.pattern, rule.name, key)
        for key, rule in rules.items()
        if rule is not None and rule.name is not None
    }
    # What a layout leaves out is a classifier beside the hash layer; without one it may be it.
    hashed = "hash_layer.weight" in named.values()
    renamed: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    twins: list[tuple[str, str]] = []
    rest: dict[str, Tensor] = {}
    for key, value in state.items():
        if key in named:
            if origin.setdefault(named[key], key) != key:
                twins.append((named[key], key))
            renamed.setdefault(named[key], value)
        elif rules.get(key) is None or not hashed:
            rest[key] = value
    return Renamed(renamed, rest, origin, tuple(twins), state)


def known_by_layout(key: str, backbone: str) -> bool:
    """Whether a key is one of a backbone's layout; of one without a known layout none is."""
    return any(
        layout.rule(key) is not None
        for layout in _LAYOUTS
        if re.fullmatch(layout.backbones, backbone)
    )


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
