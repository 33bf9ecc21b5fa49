"""A model that was made elsewhere: from its folder and card to a step and a cell."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hashbench import plugins
from hashbench.characters import briefly, shown
from hashbench.data.contract import Dataset
from hashbench.data.protocol import FIELDS, PixelValues, Protocol
from hashbench.defending.contract import WrappingDefense
from hashbench.errors import UsageError
from hashbench.hashing.checkpoint import (
    WEIGHTS,
    ModelCard,
    load_checkpoint,
    read_card,
    refuse_misfits,
)
from hashbench.hashing.contract import Backbone, Loss
from hashbench.hashing.encode import as_images
from hashbench.hashing.headed import HeadedBackbone, Hidden
from hashbench.hashing.named import NamedBackbone, NamedLoss
from hashbench.hashing.programs.file_program import Asking, FileProgram, content_of, tried
from hashbench.plugins.blame import refusing
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, canonical
from hashbench.progress import Progress, no_progress
from hashbench.records import read
from hashbench.results.cell import Cell
from hashbench.results.metrics import under
from hashbench.retrieval import Ties
from hashbench.runner.fingerprint import content_hash
from hashbench.runner.loading import load_data, new_model, outline
from hashbench.runner.resolve import check_device_name, read_source, resolve
from hashbench.runner.setting import Setting, Source
from hashbench.runner.steps import GivenModel
from hashbench.runner.suite_models import check_bits
from hashbench.runner.suite_tables import Compute

_SHOWN = 3
_TRIED = 3
"""Images that a program is tried with."""


@dataclass(frozen=True)
class Given:
    """A model that is ready to be evaluated.

    Attributes:
        step: takes its weights over.
        cell: of its clean queries.
        training: what the reports say of how it was trained.
    """

    step: GivenModel
    cell: Cell
    training: dict[str, Any]


def given_model(
    folder: Path,
    root: Path | None,
    compute: Compute,
    progress: Progress = no_progress,
    pixels: PixelValues = PixelValues.FLOAT,
) -> Given:
    """Read a model's folder and check it against its card.

    Args:
        folder: as `hashbench model export` writes it.
        root: the folder of the model's data set, where that needs one.
        compute: what it is evaluated with.
        progress: told of images that are decoded for the first time.
        pixels: which values the pixels of attacked images have; a card says nothing of that.

    Raises:
        UsageError: files are missing or damaged, weights do not fit, a plugin is not installed, or
            the data are not those that the card names.
    """
    check_device_name(compute.device)
    card = read_card(folder, "model")
    try:
        check_bits(card.bits)
    except UsageError as error:
        raise UsageError(f"model {folder}: its card's {error}") from None
    if not card.protocol_card or not card.clean:
        raise UsageError(
            f"model {folder}: its card names no protocol and no clean mAP; "
            "'hashbench model export' and 'hashbench model import' write one that does"
        )
    with _said_of(folder):
        dataset = resolve(Kind.DATASET, Dataset, Spec.parse(card.dataset))
        loss = loss_of_card(card)
        backbone = backbone_of_card(card)
        wrapper = _wrapper(card)
    source = read_source(dataset, root, progress, pixels)
    _same_protocol(folder, card, source.protocol.unattacked)
    _refuse_other_metrics(folder, card, source.protocol.metric)
    setting = Setting(
        source=source,
        loss=loss,
        backbone=backbone,
        bits=card.bits,
        seed=card.seed,
        compute=compute,
    )
    program = program_of_card(folder, card, setting) if card.program else None
    if program is None:
        weights = _own_weights(folder, card)
        _refuse_misfit(folder, setting)
    else:
        weights = program.content
    training = {**card.training, "compute": compute.recorded()}
    defense = card.defense if wrapper is None else canonical(wrapper)
    clean = tuple(sorted(card.clean.items()))
    step = GivenModel(setting, defense, wrapper, folder, weights, clean, program)
    return Given(step, setting.clean_cell(defense, training), training)


def _refuse_misfit(folder: Path, setting: Setting) -> None:
    """Refuse weights that do not fit the network of their card."""
    if (network := outline(setting.backbone, setting.source.images, setting.bits)) is not None:
        refuse_misfits(folder, network)
    here = replace(setting, compute=replace(setting.compute, device="cpu"))
    with _said_of(folder), refusing(setting.backbone, " cannot be built:"):
        model = new_model(here, bare=True)
    load_checkpoint(folder, model)


def program_of_card(folder: Path, card: ModelCard, setting: Setting) -> FileProgram:
    """The program in a model's folder, asked for some images.

    Raises:
        UsageError: it is not there, not the file that the card describes, cannot be run, or takes
            no such images.
    """
    with _said_of(folder):
        asking = read(Asking, card.program, "program")
    path = folder / asking.kind.file
    content = content_of(path, asking.kind)
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != card.weights:
        raise UsageError(
            f"model {folder}: {path.name} is not the file that its card describes "
            f"(SHA-256 {sha256[:12]}..., the card says {card.weights[:12] or 'nothing'}...)"
        )
    found = tried(content, asking, some_images(setting.source), path)
    if found.bits != card.bits:
        raise UsageError(
            f"model {folder}: {path.name} gives {found.bits} bits, the card says {card.bits}"
        )
    return FileProgram(path, sha256, found.bits, found.asking, found.gradients)


def some_images(source: Source) -> Tensor:
    """The first training images, which a program is tried with: float32 (3, C, H, W)."""
    pixels = load_data(source.dataset, source.root).train.images
    return as_images(pixels[np.arange(_TRIED) % len(pixels)], torch.device("cpu"))


@contextmanager
def _said_of(folder: Path) -> Iterator[None]:
    """What a card asks for in vain is told with the name of its folder."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"model {folder}: {shown(str(error))}") from None


def loss_of_card(card: ModelCard) -> Loss:
    """What a model was trained with, or the name of it.

    Raises:
        UsageError: its plugin is not installed.
    """
    if card.named_loss:
        return NamedLoss(card.loss)
    return resolve(Kind.LOSS, Loss, Spec.parse(card.loss))


def backbone_of_card(card: ModelCard) -> Backbone:
    """The backbone that the weights are for, or the name of a network that is given whole.

    Raises:
        UsageError: its plugin is not installed.
    """
    if card.program:
        return NamedBackbone(card.backbone)
    found = resolve(Kind.BACKBONE, Backbone, Spec.parse(card.backbone))
    hidden = tuple(map(Hidden.parse, card.hidden))
    return HeadedBackbone(found, hidden) if hidden else found


def _wrapper(card: ModelCard) -> WrappingDefense | None:
    """The defense around the weights; a trained one is in the weights and needs no plugin."""
    if not card.wraps:
        return None
    spec = Spec.parse(card.defense)
    found = plugins.get("defense", str(spec))
    if not isinstance(found, WrappingDefense):
        raise UsageError(f"defense '{spec.name}' wraps no model here, but the model's card says so")
    return found


def weights_hash(folder: Path, what: str) -> str:
    """SHA-256 of a checkpoint's weights.

    Raises:
        UsageError: there are none, or they cannot be read.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise UsageError(f"{what} {folder}: there is no {WEIGHTS} in it")
    return content_hash(path)


def _own_weights(folder: Path, card: ModelCard) -> str:
    found = weights_hash(folder, "model")
    if card.weights and found != card.weights:
        raise UsageError(
            f"model {folder}: {WEIGHTS} is not the file that its card describes "
            f"(SHA-256 {found[:12]}..., the card says {card.weights[:12]}...)"
        )
    return found


def _same_protocol(folder: Path, card: ModelCard, found: Protocol) -> None:
    # Compared as the card's own version compares; a version that is not known here is another one.
    version = card.protocol_card.get("version", 1)
    if isinstance(version, int) and version in FIELDS:
        found = replace(found, version=version)
    if card.protocol == found.hash:
        return
    there, here = card.protocol_card, found.to_plain()
    differing = [
        f"{_short(name)} {_short(there.get(name))} in the card, {_short(here.get(name))} here"
        for name in {**here, **there}
        if there.get(name) != here.get(name)
    ]
    raise UsageError(
        f"model {folder} was measured under another protocol than this data gives: "
        + "; ".join(differing[:_SHOWN] or ["the card's own fields do not give its hash"])
    )


def _refuse_other_metrics(folder: Path, card: ModelCard, metric: str) -> None:
    known = {metric, under(metric, Ties.BEST), under(metric, Ties.WORST)}
    for name in card.clean:
        if name not in known:
            raise UsageError(
                f"model {folder}: its card gives a clean '{briefly(name)}', but what is "
                f"measured here is {metric}"
            )


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] + "..." if len(text) == 64 else briefly(text)
