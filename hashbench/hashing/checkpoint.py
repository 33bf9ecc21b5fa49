"""Checkpoints: a folder of safetensors and a JSON card. No pickle, so nothing in it can run.

weights.safetensors   every parameter and buffer of the model
card.json             what the model is: backbone, bits, loss, data, recipe, versions
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from hashbench.errors import UsageError
from hashbench.files import why_no_folder
from hashbench.hashing.model import HashModel
from hashbench.records import Migrations, migrated, read

NetworkT = TypeVar("NetworkT", bound=nn.Module)

SCHEMA = 2
WEIGHTS = "weights.safetensors"
CARD = "card.json"

MIGRATIONS: Migrations = {}
"""Format 2 added fields with defaults to format 1, and changed nothing that was there."""


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint says about itself.

    Attributes:
        backbone, bits: what has to be built before the weights fit.
        loss: the hashing loss it was trained with.
        defense: the defense it went through, `none` for a base model.
        dataset: the data set's canonical name.
        protocol: the protocol's hash.
        seed: the cell's seed.
        recipe: every setting of the training.
        training: what the reports say of it: the base training, the budget, threads and device.
        shape: (C, H, W) of the images that the model was built for; empty in format 1.
        wraps: whether the defense is a wrapper around these weights, not a training of them.
        protocol_card: the protocol's fields, so that a difference can be named.
        clean: mAP on the clean queries by its canonical name, in `[0, 1]`; empty where it was not
            measured.
        weights: SHA-256 of the weights' file.
        versions: of the programs that made it.
        licence: under which the weights are handed on.
        schema: version of this format.
    """

    backbone: str
    bits: int
    loss: str
    defense: str
    dataset: str
    protocol: str
    seed: int
    recipe: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    wraps: bool = False
    protocol_card: dict[str, Any] = field(default_factory=dict)
    clean: dict[str, float] = field(default_factory=dict)
    weights: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    licence: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        # A card comes from other people: what a run would trip over later is refused at once.
        for name, sound, wanted in (
            ("bits", self.bits > 0, "1 or more"),
            ("shape", all(side > 0 for side in self.shape), "side lengths of 1 or more"),
            ("clean", all(0 <= share <= 1 for share in self.clean.values()), "shares from 0 to 1"),
            ("training", all(isinstance(t, dict) for t in self.training.values()), "tables"),
        ):
            if not sound:
                raise UsageError(f"{name} is {getattr(self, name)!r}, expected {wanted}")


def weight_bytes(model: nn.Module) -> bytes:
    """A network's weights in the safetensors format."""
    tensors = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    return save(tensors)


def card_bytes(card: ModelCard) -> bytes:
    """The card as JSON text."""
    return (json.dumps(asdict(card), indent=2, sort_keys=True) + "\n").encode()


def save_checkpoint(folder: Path, model: HashModel, card: ModelCard) -> None:
    """Write a checkpoint into a folder that no other process reads yet."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(weight_bytes(model))
    (folder / CARD).write_bytes(card_bytes(card))


def read_card(folder: Path, what: str = "checkpoint") -> ModelCard:
    """The card of a checkpoint.

    Args:
        folder: where it lies.
        what: what an error calls the folder.

    Raises:
        UsageError: no such folder or card, a damaged one, or one of a newer format.
    """
    path = folder / CARD
    if not folder.is_dir():
        raise UsageError(f"{what} {folder}: {why_no_folder(folder)}")
    try:
        fields = json.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"{what} {folder}: there is no {CARD} in it") from None
    except (ValueError, OSError, RecursionError) as error:
        raise UsageError(f"{what} {folder}: {CARD} cannot be read ({error})") from None
    if not isinstance(fields, dict) or type(fields.get("schema")) is not int:
        raise UsageError(f"{what} {folder}: {CARD} is no model card")
    if fields["schema"] > SCHEMA:
        raise UsageError(
            f"{what} {folder}: written in format {fields['schema']}, "
            f"this hashbench reads up to {SCHEMA}: update it"
        )
    current = migrated(MIGRATIONS, "card", fields, fields["schema"], SCHEMA)
    try:
        return read(ModelCard, {**current, "schema": SCHEMA}, "")
    except UsageError as error:
        raise UsageError(f"{what} {folder}: {CARD} is no model card ({error})") from None


def load_checkpoint(folder: Path, model: NetworkT) -> NetworkT:
    """Load weights into a model, or another network, that was built as the card says.

    Args:
        folder: the checkpoint.
        model: receives the weights, in place.

    Raises:
        UsageError: a missing or damaged file; keys, shapes or types that do not fit; values
            that are not finite. Nothing is loaded then.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise UsageError(f"checkpoint {folder}: there is no {WEIGHTS} in it")
    try:
        weights = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(f"checkpoint {folder}: {WEIGHTS} cannot be read ({error})") from None
    wanted = model.state_dict()
    problems = [f"'{name}' is missing" for name in wanted.keys() - weights.keys()]
    problems += [f"'{name}' is not known" for name in weights.keys() - wanted.keys()]
    problems += [
        f"'{name}' has shape {tuple(weights[name].shape)}, expected {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in weights and weights[name].shape != value.shape
    ]
    problems += [
        f"'{name}' is {weights[name].dtype}, expected {value.dtype}"
        for name, value in wanted.items()
        if name in weights and weights[name].dtype != value.dtype
    ]
    problems += [
        f"'{name}' holds values that are not finite"
        for name, value in weights.items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:3]) + ("; ..." if len(problems) > 3 else "")
        raise UsageError(f"checkpoint {folder} does not fit the model: {shown}")
    model.load_state_dict(weights)
    return model
