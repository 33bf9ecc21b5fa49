"""Checkpoints: a folder of safetensors and a JSON card. No pickle, so nothing in it can run.

weights.safetensors   every parameter and buffer of the model
card.json             what the model is: backbone, bits, loss, data, recipe, versions
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from safetensors.torch import save
from torch import nn

from hashbench.characters import briefly, shortened
from hashbench.errors import FileError, UsageError
from hashbench.files import read_json, why_no_folder
from hashbench.hashing.headed import MAX_HIDDEN
from hashbench.hashing.memory import (
    own_memory,
    plain_copy,
    refuse_unsavable,
    shared_names,
    unset_buffers,
)
from hashbench.hashing.model import HashModel
from hashbench.hashing.state_dict import is_sound, misfits, refuse_problems
from hashbench.hashing.weights.mapped import WeightFile
from hashbench.hashing.weights.safetensors_file import read_table
from hashbench.hashing.weights.sorts import is_safetensors, sort_of
from hashbench.hashing.weights.stored import OddTensor, StoredTensor
from hashbench.records import Migrations, migrated, read
from hashbench.retrieval.packing import MAX_BITS

NetworkT = TypeVar("NetworkT", bound=nn.Module)

SCHEMA = 2
WEIGHTS = "weights.safetensors"
CARD = "card.json"

MAX_CARD: Final = 2**20
"""The most bytes of a card: they have some 3,000."""

MAX_SEED: Final = 2**64
MAX_SIDE: Final = 2**16
MAX_TEXT: Final = 1_000
MAX_DEPTH: Final = 20
MAX_COMPUTE: Final = 100_000
"""What a card's fields may hold: beyond what any model that is made here has."""

MIGRATIONS: Migrations = {}
"""Format 2 added fields with defaults to format 1, and changed nothing that was there."""


_TABLES: Final = ("recipe", "training", "protocol_card", "program")
"""The fields of a card that hold plain data of any form."""


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
        hidden: the head's layers between backbone and hash layer, such as `256 relu`.
        named_loss: whether `loss` is a name that no plugin stands for: nothing is trained with it.
        program: what a file that holds the whole network is, and how it is asked; empty where
            there is a backbone with weights. `backbone` is then a name, `weights` of that file.
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
    hidden: tuple[str, ...] = ()
    named_loss: bool = False
    program: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        # A card comes from other people: what a run would trip over later is refused at once, and
        # numbers are bounded before anything is built of them.
        if not all(isinstance(table, dict) for table in self.training.values()):
            raise UsageError(f"training is {briefly(repr(self.training))}, expected tables")
        for name, sound, wanted in (
            ("bits", 0 < self.bits <= MAX_BITS, f"1 to {MAX_BITS}"),
            ("seed", abs(self.seed) < MAX_SEED, "a whole number of at most 64 bits"),
            (
                "shape",
                len(self.shape) in (0, 3) and all(0 < side <= MAX_SIDE for side in self.shape),
                f"channels, height and width of 1 to {MAX_SIDE:,}",
            ),
            ("clean", all(0 <= share <= 1 for share in self.clean.values()), "shares from 0 to 1"),
            (
                "training",
                _is_compute(self.training.get("compute", {})),
                f"compute of cpu or cuda, and of numbers from 1 to {MAX_COMPUTE:,}",
            ),
            *(
                (name, _is_digest(getattr(self, name)), "64 digits of a SHA-256")
                for name in ("protocol", "weights")
                if getattr(self, name)
            ),
            *(
                (name, len(getattr(self, name)) <= MAX_TEXT, f"at most {MAX_TEXT:,} characters")
                for name in ("backbone", "loss", "defense", "dataset", "licence")
            ),
            *(
                (name, _is_shallow(getattr(self, name)), f"tables at most {MAX_DEPTH} deep")
                for name in _TABLES
            ),
            (
                "hidden",
                len(self.hidden) <= MAX_HIDDEN and all(len(one) < 40 for one in self.hidden),
                f"at most {MAX_HIDDEN} layers such as '256 relu'",
            ),
        ):
            if not sound:
                value = getattr(self, name)
                # A table may be too deep to be written out.
                found = "another table" if name in _TABLES else briefly(repr(value))
                raise UsageError(f"{name} is {found}, expected {wanted}")


def _is_digest(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def _is_compute(found: Any) -> bool:
    """Whether the settings that a run takes over from a card are ones that a machine can have."""
    numbers = (found.get(name, 1) for name in ("threads", "attack_batch"))
    return found.get("device", "cpu") in ("cpu", "cuda") and all(
        type(number) is int and 1 <= number <= MAX_COMPUTE for number in numbers
    )


def _is_shallow(value: object) -> bool:
    """Whether plain data are nested no deeper than `MAX_DEPTH`; nothing here goes deeper itself."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend(one.values())
            elif isinstance(one, list | tuple):
                inner.extend(one)
        if not inner:
            return True
        level = inner
    return False


def weight_bytes(model: nn.Module) -> bytes:
    """A network's weights in the safetensors format, every tensor by its values.

    What shares memory, repeats a value or lies in another order is written out, so that it is equal
    when it is loaded.

    Raises:
        UsageError: see `refuse_unsavable`.
    """
    refuse_unsavable(model)
    return save({name: plain_copy(value) for name, value in model.state_dict().items()})


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
        fields = read_json(path, MAX_CARD)
    except FileNotFoundError:
        raise UsageError(f"{what} {folder}: there is no {CARD} in it") from None
    except FileError as error:
        raise UsageError(f"{what} {folder}: {CARD} cannot be read: {error}") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"{what} {folder}: {CARD} cannot be read: {reason}") from None
    if not isinstance(fields, dict) or type(fields.get("schema")) is not int:
        raise UsageError(f"{what} {folder}: {CARD} is no model card")
    if fields["schema"] > SCHEMA:
        raise UsageError(
            f"{what} {folder}: written in format {shortened(str(fields['schema']))}, "
            f"this hashbench reads up to {SCHEMA}: update it"
        )
    current = migrated(MIGRATIONS, "card", fields, fields["schema"], SCHEMA)
    try:
        return read(ModelCard, {**current, "schema": SCHEMA}, "")
    except UsageError as error:
        raise UsageError(f"{what} {folder}: {CARD} is no model card ({error})") from None


def refuse_misfits(folder: Path, network: nn.Module) -> None:
    """Hold a checkpoint's keys, shapes and types against a network; no value is read.

    Args:
        folder: the checkpoint.
        network: may lie on the device `meta`, so that nothing is allocated for it.

    Raises:
        UsageError: a missing or damaged file, or one of another network.
    """
    with _weights(folder) as file:
        _refuse(folder, misfits(_kept(_table(file), network), network.state_dict(), exact=True))


def load_checkpoint(folder: Path, model: NetworkT) -> NetworkT:
    """Load weights into a model, or another network, that was built as the card says.

    Args:
        folder: the checkpoint.
        model: receives the weights, in place.

    Raises:
        UsageError: a missing or damaged file; keys, shapes or types that do not fit; values
            that are not finite where the network's own are; two names of one tensor with two
            values. Nothing is loaded then, and no value is read before all else fits.
    """
    own_memory(model)
    wanted = model.state_dict()
    device = next((value.device for value in wanted.values()), torch.device("cpu"))
    with _weights(folder) as file:
        found = _table(file)
        _refuse(folder, misfits(_kept(found, model), wanted, exact=True))
        weights = {name: file.tensor(stored) for name, stored in found.items()}
    unsound = [
        f"'{name}' holds values that are not finite"
        for name, value in weights.items()
        if not is_sound(value, wanted.get(name))
    ]
    twins = [
        f"'{one}' and '{two}' are one tensor, but differ"
        for one, two in shared_names(wanted)
        if not torch.equal(weights[one], weights[two])
    ]
    _refuse(folder, unsound + twins)
    for name, (module, buffer) in unset_buffers(model).items():
        if name in weights:
            setattr(module, buffer, weights[name].to(device, copy=True))
    model.load_state_dict(weights)
    return model


@contextmanager
def _weights(folder: Path) -> Iterator[WeightFile]:
    """The file of a checkpoint's weights; what is found wrong with it is said of the folder."""
    path = folder / WEIGHTS
    if not path.exists() or path.is_dir():
        raise UsageError(f"checkpoint {folder}: there is no {WEIGHTS} in it")
    try:
        with WeightFile(path) as file:
            yield file
    except FileError as error:
        raise UsageError(f"checkpoint {folder}: {WEIGHTS} cannot be read: {error}") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"checkpoint {folder}: {WEIGHTS} cannot be read: {reason}") from None


def _table(file: WeightFile) -> dict[str, StoredTensor]:
    if not is_safetensors(file.head, file.size):
        sort = sort_of(file.head, file.size)
        raise FileError(f"it is {sort or 'damaged'}, expected safetensors")
    found: dict[str, StoredTensor] = {}
    for name, tensor in read_table(file.file, file.size).items():
        if isinstance(tensor, OddTensor):
            raise FileError(f"'{briefly(name)}' is {tensor.kind}")
        found[name] = tensor
    return found


def _kept(found: Mapping[str, StoredTensor], network: nn.Module) -> dict[str, StoredTensor]:
    """Without the buffers that the network has when it was trained, and lacks when it is built."""
    later = unset_buffers(network)
    return {name: stored for name, stored in found.items() if name not in later}


def _refuse(folder: Path, problems: list[str]) -> None:
    refuse_problems(f"checkpoint {folder}", "does not fit the model", sorted(problems))
