"""Reads attacked images out of a store, and asks their model for the codes of whole pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from hashbench import plugins
from hashbench.data.contract import Dataset
from hashbench.data.images import RetrievalData
from hashbench.data.protocol import PixelValues, Protocol
from hashbench.defending.answers import wrapped
from hashbench.defending.contract import WrappingDefense
from hashbench.errors import (
    DownloadError,
    FileError,
    ModelError,
    PluginError,
    StoreError,
    UsageError,
)
from hashbench.hashing.checkpoint import ModelCard, load_checkpoint, read_card
from hashbench.hashing.encode import encode
from hashbench.hashing.model import HashModel
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec
from hashbench.progress import Progress, no_progress
from hashbench.records import read
from hashbench.results.address import Address
from hashbench.results.arrays import Array, largest_file, read_arrays
from hashbench.results.artifacts import CODES, ArtifactKind
from hashbench.results.cell import CLEAN, Cell, CellResult, Status
from hashbench.results.kept_images import address_of_images, kept_images
from hashbench.results.planned import StoredCell, stored_plans
from hashbench.results.results import Results
from hashbench.results.store import Store
from hashbench.retrieval import Scorer, Shard, Ties
from hashbench.runner.determinism import exact, torch_threads
from hashbench.runner.from_card import backbone_of_card, loss_of_card, program_of_card
from hashbench.runner.loading import data_of, new_model
from hashbench.runner.resolve import check_device, is_here, read_source, resolve
from hashbench.runner.setting import Setting, Source
from hashbench.runner.suite_tables import Compute
from hashbench.zoo.attacked_images import AttackedImages, Bytes, Codes, Floats, in_whole_pixels
from hashbench.zoo.models import weights_of


@dataclass(frozen=True)
class NotThere:
    """Why a cell's images are not exported.

    Attributes:
        cell: whose.
        reason: one clause.
        unkept: whether the cell is finished and nothing is wrong but that no images were kept.
    """

    cell: Cell
    reason: str
    unkept: bool = False


def attacked_images(
    folder: Path,
    results: Results,
    *,
    first: int | None = None,
    root: Path | None = None,
    device: str | None = None,
    progress: Progress = no_progress,
) -> Iterator[AttackedImages | NotThere]:
    """The kept images of some cells, one cell after the other; clean ones have none.

    A cell that cannot be read, for a plugin or data that are not here, are others than those of the
    results, or break their contract, or for something damaged in the store, is one of those that
    are not there; the others follow.

    Args:
        folder: of the results.
        results: the cells.
        first: so many of each cell at most; by default all that are kept.
        root: the folder of data sets that need one.
        device: `cpu` or `cuda`; by default what the results were computed on.
        progress: told of images that are decoded for the first time.

    Raises:
        StoreError: a plan cannot be read.
    """
    store = Store(folder)
    planned = {one.cell: one for plan in stored_plans(store) for one in plan.cells}
    reader = _Reader(store, results, root, device, progress)
    attacked = [result for result in results.cells if result.cell.attack != CLEAN]
    for result in attacked:
        if result.status is not Status.DONE:
            yield NotThere(result.cell, result.reason)
            continue
        try:
            found = reader.read(result, planned[result.cell], first)
            if found is None:
                yield NotThere(result.cell, "no images are kept of it", unkept=True)
                continue
        except _UNREADABLE as error:
            yield NotThere(result.cell, str(error))
            continue
        yield found


_UNREADABLE: Final = (
    DownloadError,
    FileError,
    ModelError,
    PluginError,
    StoreError,
    UsageError,
)
"""What is wrong with one cell, and need not be with others."""


@dataclass(frozen=True)
class _Weights:
    """A model as the store has it.

    Attributes:
        cell: of its clean queries.
        file: its weights, or the program that it is; its card lies beside it.
        card: what has to be built before the weights fit.
        wraps: whether its defense is put around it.
    """

    cell: Cell
    file: Path
    card: ModelCard
    wraps: bool


class _Reader:
    """Reads the images of cells; what several cells share is read once where they are in turn."""

    def __init__(
        self,
        store: Store,
        results: Results,
        root: Path | None,
        device: str | None,
        progress: Progress,
    ) -> None:
        self._store = store
        self._results = results
        self._root = root
        self._device = device
        self._progress = progress
        self._sources: dict[str, Source] = {}
        self._weights: _Weights | None = None
        self._model: tuple[Cell, HashModel] | None = None

    def read(
        self, result: CellResult, planned: StoredCell, first: int | None
    ) -> AttackedImages | None:
        """The images of one cell; `None` where none are kept.

        Raises:
            FileError, StoreError: something in the store is damaged.
            UsageError: a plugin, data or the model are not here, or are others than in the results.
            DownloadError, ModelError, PluginError: data or a model break their contract.
        """
        adversarial = _of_kind(planned, ArtifactKind.ADVERSARIAL)
        if not self._keeps(adversarial):
            return None  # before data and models are read
        cell = result.cell
        weights = self._weights_of(cell.clean)
        setting = self._setting(cell, weights.card)
        data, protocol = data_of(setting), setting.source.protocol
        spec = setting.source.images
        shape = (spec.channels, spec.height, spec.width)
        kept = kept_images(self._store, adversarial, shape, cell.bits)
        if kept is None:
            return None
        attacked = self._attacked(adversarial, protocol, cell.bits, targeted=result.targeted)
        if not kept.are_of(attacked["codes"]):
            raise FileError("the images that are kept are of other codes than the stored ones")
        clean = self._clean(_of_kind(planned, ArtifactKind.CODES), protocol, cell.bits)
        part = slice(len(kept) if first is None else min(first, len(kept)))
        images = kept.images[part]
        rounded = in_whole_pixels(images)
        model = self._model_of(weights, setting)
        compute = setting.compute
        with torch_threads(compute.threads), exact(compute.device, compute.precision):
            here, after = (_encoded(model, one) for one in (images, rounded))
        codes = {"clean": clean["query"][part], "float": attacked["codes"][part], "rounded": after}
        targets = attacked["target_labels"][part] if result.targeted else None
        labels = data.query.labels[part]
        return AttackedImages(
            cell=cell,
            protocol=protocol,
            classes=data.classes,
            labels=labels,
            targets=targets,
            clean=np.ascontiguousarray(data.query.images[part]),
            images=images,
            rounded=rounded,
            clean_codes=codes["clean"],
            codes=codes["float"],
            codes_here=here,
            rounded_codes=after,
            precisions=_precisions(codes, labels, clean["database"], data, protocol),
            toward_targets={}
            if targets is None
            else _precisions(codes, targets, clean["database"], data, protocol),
        )

    def _keeps(self, adversarial: Address) -> bool:
        return self._store.artifact(address_of_images(adversarial)) is not None

    def _attacked(
        self, address: Address, protocol: Protocol, bits: int, *, targeted: bool
    ) -> dict[str, NDArray[Any]]:
        wanted = {"codes": Array("i1", (protocol.query, bits))}
        if targeted:
            wanted["target_labels"] = Array("u1", (protocol.query, protocol.classes))
        return self._arrays(address, wanted, protocol, bits)

    def _clean(self, address: Address, protocol: Protocol, bits: int) -> dict[str, NDArray[Any]]:
        counts = {"query": protocol.query, "database": protocol.database}
        wanted = {name: Array("i1", (count, bits)) for name, count in counts.items()}
        return self._arrays(address, wanted, protocol, bits)

    def _arrays(
        self, address: Address, wanted: Mapping[str, Array], protocol: Protocol, bits: int
    ) -> dict[str, NDArray[Any]]:
        artifact = self._store.artifact(address)
        if artifact is None:
            raise FileError(f"{address.path}: it is missing")
        # Beside what is wanted: codes of the train set, and some numbers of each image.
        images = protocol.train + protocol.query + protocol.database
        limit = 2**16 + largest_file(wanted) + (bits + 1_024) * images
        try:
            return read_arrays(artifact.read(CODES, limit), wanted)
        except FileError as error:
            raise FileError(f"{address.path}: {error}") from None

    def _weights_of(self, clean: Cell) -> _Weights:
        if self._weights is None or self._weights.cell != clean:
            file, made = weights_of(self._store, clean)
            self._weights = _Weights(clean, file, read_card(file.parent), made["wraps"])
        return self._weights

    def _setting(self, cell: Cell, card: ModelCard) -> Setting:
        given = self._results.trainings[cell.training].get("compute")
        said = given if isinstance(given, Mapping) else {}
        known = {one.name: said[one.name] for one in fields(Compute) if one.name in said}
        if self._device is not None:
            known["device"] = self._device
        compute = read(Compute, known, "compute")
        if self._device is None and not is_here(compute.device):
            raise UsageError(
                f"the run computed on {compute.device}, which torch does not find here; --device "
                "cpu asks the model on the processor"
            )
        check_device(compute.device)
        if cell.protocol not in self._sources:
            self._sources[cell.protocol] = self._source(cell)
        return Setting(
            source=self._sources[cell.protocol],
            loss=loss_of_card(card),
            backbone=backbone_of_card(card),
            bits=cell.bits,
            seed=cell.seed,
            compute=compute,
        )

    def _source(self, cell: Cell) -> Source:
        wanted = self._results.protocols[cell.protocol]
        dataset = resolve(Kind.DATASET, Dataset, Spec.parse(cell.dataset))
        found = read_source(dataset, self._root, self._progress, PixelValues(wanted.pixels))
        if found.protocol.hash != wanted.hash:
            here, there = found.protocol.to_plain(), wanted.to_plain()
            differing = [name for name in {**here, **there} if here.get(name) != there.get(name)]
            raise UsageError(
                f"dataset '{cell.dataset}' is not the one that these results are of: another "
                f"{', '.join(differing) or 'protocol'}; with --root name the folder that the run "
                "was given"
            )
        return found

    def _model_of(self, weights: _Weights, setting: Setting) -> HashModel:
        cell = weights.cell
        if self._model is None or self._model[0] != cell:
            self._model = None  # one at a time
            folder, compute = weights.file.parent, setting.compute
            if weights.card.program:
                program = program_of_card(folder, weights.card, setting)
                model = program.load(device=compute.device, threads=compute.threads)
            else:
                model = load_checkpoint(folder, new_model(setting, bare=True))
            if weights.wraps:
                defense = plugins.get("defense", cell.defense)
                if not isinstance(defense, WrappingDefense):
                    raise UsageError(
                        f"defense '{cell.defense}' wraps no model here, but did so in these results"
                    )
                model = wrapped(defense, model)
            self._model = (cell, model.eval())
        return self._model[1]


def _of_kind(planned: StoredCell, kind: ArtifactKind) -> Address:
    """The artifact of a cell's own; a surrogate's come after those of the attacked model."""
    found = next((step for step in planned.steps if step.kind == kind), None)
    if found is None:
        raise FileError(f"its plan names no {kind}")
    return found


def _encoded(model: HashModel, images: NDArray[np.float32] | Bytes) -> Codes:
    """Codes, from one random state for a model that draws."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return encode(model, images).codes


def _precisions(
    codes: Mapping[str, Codes],
    labels: Bytes,
    database: Codes,
    data: RetrievalData,
    protocol: Protocol,
) -> dict[str, Floats]:
    shard = Shard(database, data.database.labels)
    return {
        name: Scorer(one, labels, shard).average_precision(
            top_k=protocol.top_k, ties=Ties.EXPECTED, normalize=protocol.normalize
        )
        for name, one in codes.items()
    }
