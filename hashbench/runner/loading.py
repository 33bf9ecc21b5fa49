"""What steps read: data, models of finished steps, arrays; and the seeds of a cell's streams."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hashbench.attacking.setup import sizes_of
from hashbench.attacking.training import network_of
from hashbench.data.contract import Dataset
from hashbench.data.images import RetrievalData
from hashbench.data.plugin_errors import loaded
from hashbench.defending.answers import wrapped
from hashbench.defending.contract import WrappingDefense
from hashbench.errors import FileError, StoreError
from hashbench.hashing.answers import bare_of, built
from hashbench.hashing.backbone import InputSpec
from hashbench.hashing.checkpoint import WEIGHTS, load_checkpoint
from hashbench.hashing.contract import Backbone
from hashbench.hashing.memory import own_memory, refuse_unsavable
from hashbench.hashing.model import HashModel
from hashbench.results.store import Artifact, Store
from hashbench.runner.evaluation_steps import Probe, TrainedAttacker
from hashbench.runner.setting import Setting
from hashbench.runner.steps import DefendedModel, GivenModel, Step
from hashbench.runner.stored import CodesStep, codes_of, probe_of
from hashbench.runner.suite_tables import MIXED
from hashbench.seeds import seed_of


@lru_cache(maxsize=4)
def load_data(dataset: Dataset, root: Any) -> RetrievalData:
    """A data set's splits, kept for the steps that follow."""
    return loaded(dataset, root)


def data_of(setting: Setting) -> RetrievalData:
    """The splits of a cell's data set."""
    return load_data(setting.source.dataset, setting.source.root)


def cell_seed(setting: Setting, *purpose: object) -> int:
    """The seed of one of a cell's random streams.

    It does not depend on bits, radius or parameters, so that settings are paired: the same query
    starts from the same random point in each.
    """
    return seed_of(setting.source.protocol.dataset, setting.seed, *purpose)


def new_model(setting: Setting, *, bare: bool = False) -> HashModel:
    """A model with fresh weights, drawn from the cell's seed.

    Args:
        setting: of the cell.
        bare: without pretrained weights, since others will be loaded.

    Raises:
        UsageError: its weights could not be saved.
    """
    backbone = bare_of(setting.backbone) if bare else setting.backbone
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cell_seed(setting, "weights"))
        net = built(backbone, setting.source.images)
        model = HashModel(net, setting.bits, mixed=setting.compute.precision == MIXED)
    own_memory(model)
    refuse_unsavable(model)
    return model.to(setting.compute.device).eval()


def outline(backbone: Backbone, images: InputSpec, bits: int) -> HashModel | None:
    """The model of a backbone without memory for its weights; `None` where that cannot be had.

    Every tensor has its shape and type and lies on torch's device `meta`. A network that somebody
    else's card describes may be of any size, so it is outlined before it is built.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return HashModel(built(bare_of(backbone), images), bits)
    except Exception:  # a network that cannot be built there: whether it can be at all shows later
        return None


def load_model(step: DefendedModel | GivenModel, store: Store) -> HashModel:
    """The defended model of a finished step, in eval mode."""
    if isinstance(step, GivenModel):
        given = _given(step, store)
        return given if step.wrapper is None else wrapped(step.wrapper, given).eval()
    if isinstance(step.defense, WrappingDefense):
        return wrapped(step.defense, stored_weights(step.base, step.setting, store)).eval()
    return stored_weights(step, step.setting, store)


def _given(step: GivenModel, store: Store) -> HashModel:
    if step.program is None:
        return stored_weights(step, step.setting, store)
    compute, kept = step.setting.compute, store.folder / step.address.path
    if store.record(step.address) is None:
        raise StoreError(f"{kept}: missing or damaged; run it again")
    return step.program.load(device=compute.device, threads=compute.threads, kept=kept)


def stored_weights(step: Step, setting: Setting, store: Store) -> HashModel:
    """The model whose weights a finished step wrote, as they are."""
    folder = store.file(step.address, WEIGHTS).parent
    return load_checkpoint(folder, new_model(setting, bare=True))


def load_attacker(step: TrainedAttacker, store: Store) -> nn.Module:
    """The network of a trained attack, in eval mode."""
    setting = step.setting
    network = network_of(step.attack, sizes_of(data_of(setting).train, setting.bits))
    folder = store.file(step.address, WEIGHTS).parent
    return load_checkpoint(folder, network).to(setting.compute.device).eval()


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def read_npz(store: Store, step: CodesStep, name: str) -> dict[str, NDArray[Any]]:
    """The arrays of one file of a finished step.

    Raises:
        StoreError: it is missing or damaged, or holds other arrays than the step writes.
    """
    with _finished(step, store) as artifact:
        return codes_of(step, artifact, name)


def probe_answers_of(step: Probe, store: Store) -> dict[str, float]:
    """The metrics of a finished probe.

    Raises:
        StoreError: they are missing or damaged.
    """
    with _finished(step, store) as artifact:
        return probe_of(artifact)


@contextmanager
def _finished(step: Step, store: Store) -> Iterator[Artifact]:
    """The artifact of a step; what is found wrong with it is said of its folder."""
    try:
        artifact = store.artifact(step.address)
        if artifact is None:
            raise FileError("it is missing")
        yield artifact
    except FileError as error:
        raise StoreError(f"{store.folder / step.address.path}: {error}; run it again") from None
