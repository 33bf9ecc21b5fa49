"""From names to plugins, and from a data set to what cells are made of. Loads data."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch

from hashbench import plugins
from hashbench.data.contract import Dataset
from hashbench.data.plugin_errors import plugin_errors
from hashbench.data.protocol import protocol_of
from hashbench.errors import UsageError
from hashbench.hashing.backbone import InputSpec
from hashbench.plugins.base import Plugin
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, build
from hashbench.progress import Progress, no_progress
from hashbench.runner.loading import load_data
from hashbench.runner.setting import Source

PluginT = TypeVar("PluginT", bound=Plugin)


def check_device(device: str) -> None:
    """UsageError unless torch can compute there."""
    if device not in ("cpu", "cuda"):
        raise UsageError(f"compute.device is '{device}', expected cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("compute.device is cuda, but torch finds no CUDA device here")


def resolve(kind: Kind, contract: type[PluginT], spec: Spec) -> PluginT:
    """The plugin of a name, built with its parameters.

    Raises:
        UsageError: no such plugin or parameter, or one that is not of the contract.
    """
    entry = plugins.registry(kind).find(kind, spec.name)
    if not issubclass(entry.plugin, contract):
        raise UsageError(
            f"{kind} '{spec.name}' of {entry.origin} is no subclass of "
            f"hashbench.plugins.{contract.__name__}"
        )
    return build(entry.plugin, dict(spec.given), spec.preset)


def read_source(dataset: Dataset, root: Path | None, progress: Progress = no_progress) -> Source:
    """Load a data set and draw up its protocol card.

    Args:
        dataset: the plugin.
        root: the folder that the user named, for data sets that need one.
        progress: told of files that are decoded for the first time.

    Raises:
        UsageError: the folder is missing, or does not hold the data set.
    """
    where = dataset.home(root)
    with plugin_errors(dataset):
        dataset.prepare(where, progress)
        data = load_data(dataset, where)
    return Source(
        dataset=dataset,
        root=where,
        protocol=protocol_of(dataset.protocol_name(), dataset.list_length(), data),
        images=InputSpec.of(data.train),
    )
