"""Weights that others made: state dicts read from files, checked, and renamed to HashModel's keys.

Reads tensors only: no pickled object is ever built.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hashbench.errors import UsageError
from hashbench.hashing.model import HashModel
from hashbench.plugins.parameters import Spec

_WRAPPERS = ("module.", "model.")
_COUNTER = "num_batches_tracked"
_SHOWN = 3

_HOW_TO_SAVE = (
    "on a machine where you trust it, write its tensors alone with "
    "torch.save(model.state_dict(), 'weights.pth')"
)


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
        rules: the first one that matches a whole key decides.
    """

    backbones: str
    rules: tuple[_Rule, ...]


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


_RESNET_STAGES = {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3", 7: "layer4"}

_LAYOUTS = (
    _Layout(r"alexnet", _classified(1, 4)),
    _Layout(r"vgg\d+(-bn)?", _classified(0, 3)),
    _Layout(
        r"resnet\d+",
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
        (
            _Rule(r"features\.(.+)", r"backbone.features.\1"),
            _Rule(r"feature_layers\.0\.(.+)", r"backbone.features.\1"),
            _Rule(r"classifier\.\w+", None),  # ImageNet's, which no output depends on
            _Rule(r"hash_layer\.(\w+)", r"hash_layer.\1"),
        ),
    ),
)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict file, by their keys.

    A dict that holds the state dict under `state_dict`, and prefixes that all keys share
    (`module.` of DataParallel, `model.` of a wrapper), are unwrapped.

    Args:
        path: `.safetensors`, or anything that `torch.save` wrote of a state dict.

    Raises:
        UsageError: there is no such file, it is damaged, or it holds more than tensors.
    """
    if not path.is_file():
        raise UsageError(f"weights {path}: no such file")
    found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not found:
        raise UsageError(f"weights {path}: it holds {_named(found)}, expected a state dict")
    state: dict[str, Tensor] = {}
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise UsageError(
                f"weights {path}: '{key}' holds {_named(value)}, expected a tensor; {_HOW_TO_SAVE}"
            )
        state[key] = value
    return _unwrapped(state)


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
    rules = _rules(backbone)
    renamed: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    problems = []
    for key, value in read_state(path).items():
        rule = next((rule for rule in rules if re.fullmatch(rule.pattern, key)), None)
        if rule is None:
            problems.append(f"'{key}' is not known")
            continue
        if rule.name is None:
            continue
        if not _finite(value):
            problems.append(f"'{key}' holds values that are not finite")
            continue
        name = re.sub(rule.pattern, rule.name, key)
        if name in renamed and not torch.equal(renamed[name], value):
            problems.append(f"'{origin[name]}' and '{key}' are one layer, but differ")
        renamed.setdefault(name, value)
        origin.setdefault(name, key)
    _refuse(path, f"is no checkpoint of {Spec.parse(backbone).name}", problems)
    return renamed


def bits_of(state: Mapping[str, Tensor]) -> int:
    """The code length K of a state dict under HashModel's keys, read off its hash layer.

    Raises:
        UsageError: it has no hash layer.
    """
    weight = state.get("hash_layer.weight")
    if weight is None or weight.ndim != 2:
        raise UsageError("the state dict has no hash layer, so it is no hashing model")
    return len(weight)


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
    kept = {name: getattr(model, name) for name in ("mean", "std")}
    wanted = model.state_dict()
    state = fitted({**read_foreign(path, backbone), **kept}, wanted, f"weights {path}")
    model.load_state_dict(state)
    return model


def fitted(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str
) -> dict[str, Tensor]:
    """A state dict that fits a module: all keys, shapes and kinds of number as wanted.

    Counters of batch norm that old files lack are 0. Floats of another precision are converted.

    Args:
        state: what a file holds.
        wanted: the module's own state dict.
        where: opens the error's sentence: which file it is.

    Raises:
        UsageError: keys are missing or not known, shapes differ, or values are not finite.
    """
    counters = {
        name: torch.zeros_like(value)
        for name, value in wanted.items()
        if name not in state and name.endswith(_COUNTER)
    }
    state = {**state, **counters}
    problems = [f"'{name}' is missing" for name in wanted if name not in state]
    problems += [f"'{name}' is not known" for name in state if name not in wanted]
    for name, value in wanted.items():
        if (found := state.get(name)) is None:
            continue
        if found.shape != value.shape:
            problems.append(
                f"'{name}' has shape {tuple(found.shape)}, expected {tuple(value.shape)}"
            )
        elif found.is_floating_point() != value.is_floating_point():
            problems.append(f"'{name}' is {found.dtype}, expected {value.dtype}")
        elif not _finite(found):
            problems.append(f"'{name}' holds values that are not finite")
    _refuse(where, "does not fit the model", problems)
    return {name: state[name].to(value.dtype) for name, value in wanted.items()}


def _rules(backbone: str) -> tuple[_Rule, ...]:
    name = Spec.parse(backbone).name
    for layout in _LAYOUTS:
        if re.fullmatch(layout.backbones, name):
            return layout.rules
    raise UsageError(
        f"backbone '{name}': no layout of other repositories is known for it, only those of "
        "alexnet, vgg*, resnet* and densenet*"
    )


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _WRAPPERS:
        if all(key.startswith(prefix) for key in state):
            return _unwrapped({key.removeprefix(prefix): value for key, value in state.items()})
    return state


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(f"weights {path}: the file is damaged ({_first_line(error)})") from None


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise anything
        if type(error).__name__ == "UnpicklingError" and _is_torch_file(path):
            raise UsageError(
                f"weights {path}: it holds more than tensors (a whole pickled model?), and reading "
                f"that could run any code, so it is not read; {_HOW_TO_SAVE}"
            ) from None
        raise UsageError(
            f"weights {path}: it cannot be read as a state dict ({_first_line(error)})"
        ) from None


def _is_torch_file(path: Path) -> bool:
    """Whether it is an archive, or begins like a pickle."""
    with path.open("rb") as file:
        return zipfile.is_zipfile(path) or file.read(1) == b"\x80"


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value).all())


def _first_line(error: BaseException) -> str:
    line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _named(value: object) -> str:
    if isinstance(value, Mapping):
        return "a dict" if value else "an empty dict"
    return f"a value of type {type(value).__name__}"


def _refuse(where: str | Path, what: str, problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        subject = f"weights {where}" if isinstance(where, Path) else where
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UsageError(f"{subject} {what}: {'; '.join(found[:_SHOWN])}{more}")
