"""From names to plugins, and from a data set to what cells are made of. Loads data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import torch

from hashbench import plugins
from hashbench.characters import shortened
from hashbench.data.contract import Dataset
from hashbench.data.plugin_errors import plugin_errors
from hashbench.data.protocol import PixelValues, protocol_of
from hashbench.errors import UsageError
from hashbench.hashing.backbone import InputSpec
from hashbench.plugins.base import Plugin
from hashbench.plugins.blame import answer_of, refusing
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, build, located
from hashbench.progress import Progress, no_progress
from hashbench.results.cell import CLEAN
from hashbench.retrieval.checks import as_top_k
from hashbench.retrieval.packing import MAX_CLASSES
from hashbench.runner.loading import load_data
from hashbench.runner.setting import Source
from hashbench.runner.suite import Grid, Suite

PluginT = TypeVar("PluginT", bound=Plugin)

_DEVICE: Final = "compute.device"


def check_device_name(device: str, what: str = _DEVICE) -> None:
    """UsageError unless torch knows such a device; there may be none here: others may run it."""
    if device not in ("cpu", "cuda"):
        raise UsageError(f"{what} is '{shortened(device)}', expected cpu or cuda")


def is_here(device: str) -> bool:
    """Whether torch can compute there on this machine."""
    return device != "cuda" or torch.cuda.is_available()


def check_device(device: str, what: str = _DEVICE) -> None:
    """UsageError unless torch can compute there: asked before anything is computed.

    Args:
        device: its name.
        what: what it was typed as.
    """
    check_device_name(device, what)
    if not is_here(device):
        raise UsageError(f"{what} is cuda, but torch finds no CUDA device here")


def resolve(kind: Kind, contract: type[PluginT], spec: Spec) -> PluginT:
    """The plugin of a name, built with its parameters.

    Raises:
        UsageError: no such plugin or parameter, or one that is not of the contract.
    """
    entry = plugins.registry(kind).find(kind, spec.name)
    spec = located(entry.plugin, spec)
    if not issubclass(entry.plugin, contract):
        raise UsageError(
            f"{kind} '{spec.name}' of {entry.origin} is no subclass of "
            f"hashbench.plugins.{contract.__name__}"
        )
    return build(entry.plugin, dict(spec.given), spec.preset)


def at_working_folder(suite: Suite) -> Suite:
    """The suite with all paths of its plugins' parameters as the working folder sees them.

    A worker process is sent it as plain data, which know no folder.

    Raises:
        UsageError: there is no such plugin, or no such home folder.
    """

    def of(kind: Kind, specs: tuple[Spec, ...]) -> tuple[Spec, ...]:
        return tuple(
            spec
            if spec.folder is None or str(spec) == CLEAN  # which is no attack
            else located(plugins.registry(kind).find(kind, spec.name).plugin, spec)
            for spec in specs
        )

    models = suite.models
    if isinstance(models, Grid):
        models = replace(
            models,
            dataset=of(Kind.DATASET, models.dataset),
            loss=of(Kind.LOSS, models.loss),
            backbone=of(Kind.BACKBONE, models.backbone),
            defense=of(Kind.DEFENSE, models.defense),
        )
    return replace(suite, attack=of(Kind.ATTACK, suite.attack), models=models)


def read_source(
    dataset: Dataset,
    root: Path | None,
    progress: Progress = no_progress,
    pixels: PixelValues = PixelValues.FLOAT,
) -> Source:
    """Load a data set and draw up its protocol card.

    Args:
        dataset: the plugin.
        root: the folder that the user named, for data sets that need one.
        progress: told of files that are decoded for the first time.
        pixels: which values the pixels of attacked images have.

    Raises:
        UsageError: the folder is missing, does not hold the data set, or it is more than the
            retrieval core can score.
    """
    with plugin_errors(dataset):
        where = dataset.home(root)
        dataset.prepare(where, progress)
        data = load_data(dataset, where)
    name = answer_of(dataset, "protocol_name", str)
    with refusing(dataset, ": its method list_length() raises"):
        length = dataset.list_length()
    if len(data.classes) > MAX_CLASSES:
        raise UsageError(
            f"dataset '{dataset.card.name}' has {len(data.classes):,} classes, but at most "
            f"{MAX_CLASSES:,} label columns can be scored"
        )
    as_top_k(length, f"dataset '{dataset.card.name}': the length of its ranked list")
    return Source(
        dataset=dataset,
        root=where,
        protocol=protocol_of(name, length, data, pixels),
        images=InputSpec.of(data.train),
    )
