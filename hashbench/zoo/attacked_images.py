"""Attacked images out of a store, and what is left of each in whole pixels of 8 bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from hashbench import plugins
from hashbench.attacking.threat import LEVELS
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
from hashbench.zoo.models import weights_of

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class AttackedImages:
    """The first attacked queries of one cell.

    Attributes:
        cell: what they are of.
        protocol: its card.
        classes: the names of the label columns.
        labels: uint8 (n, classes) of 0 and 1.
        targets: likewise, what a targeted attack leads to; `None` for other attacks.
        clean: uint8 (n, C, H, W), the queries as the data set has them.
        images: float32 (n, C, H, W) in `[0, 1]`, what the model saw.
        rounded: uint8 (n, C, H, W), each pixel the nearest of 256; of two that are equally near the
            even one.
        clean_codes, codes: int8 (n, K), as they are stored.
        codes_here, rounded_codes: int8 (n, K), of `images` and of `rounded`, computed here in one
            way, so that nothing but the rounding is between them.
        precisions: average precision as the protocol says, (n,) each: `clean`, `float`, `rounded`.
        toward_targets: the same by what the targets are relevant to; empty for other attacks.
    """

    cell: Cell
    protocol: Protocol
    classes: tuple[str, ...]
    labels: Bytes
    targets: Bytes | None
    clean: Bytes
    images: NDArray[np.float32]
    rounded: Bytes
    clean_codes: Codes
    codes: Codes
    codes_here: Codes
    rounded_codes: Codes
    precisions: Mapping[str, Floats]
    toward_targets: Mapping[str, Floats]

    def __len__(self) -> int:
        """N."""
        return len(self.images)

    @property
    def bits(self) -> int:
        """K, the length of a code."""
        return int(self.codes.shape[1])

    @cached_property
    def flipped(self) -> NDArray[np.int64]:
        """Bits of code that the attack changes, (n,)."""
        return _differing(self.codes, self.clean_codes)

    @cached_property
    def flipped_rounded(self) -> NDArray[np.int64]:
        """Bits of code in which the rounded image differs from the clean one, (n,)."""
        return _differing(self.rounded_codes, self.clean_codes)

    @cached_property
    def changed(self) -> NDArray[np.int64]:
        """Bits of code that the rounding changes, (n,)."""
        return _differing(self.rounded_codes, self.codes_here)

    @property
    def elsewhere(self) -> int:
        """How many images have another code here than the stored one: see `codes_here`."""
        return int(np.count_nonzero(_differing(self.codes_here, self.codes)))

    @cached_property
    def linf(self) -> Floats:
        """Largest change of a pixel, (n,), in `[0, 1]`: in float32, as it was scored."""
        clean = self.clean.astype(np.float32) / np.float32(LEVELS)
        change = np.abs(self.images - clean).reshape(len(self), -1)
        found: Floats = change.max(axis=1).astype(np.float64)
        return found

    @cached_property
    def l2(self) -> Floats:
        """Euclidean length of the change, (n,)."""
        return _length(self.images.astype(np.float64) - self.clean / LEVELS)

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """Largest change of a pixel of the rounded image in whole levels, (n,), 0 to 255."""
        moved = np.abs(self.rounded.astype(np.int64) - self.clean)
        found: NDArray[np.int64] = moved.reshape(len(self), -1).max(axis=1)
        return found

    @property
    def rounded_l2(self) -> Floats:
        """Euclidean length of the rounded image's change, (n,)."""
        return _length((self.rounded.astype(np.float64) - self.clean) / LEVELS)

    @cached_property
    def outside(self) -> NDArray[np.bool_]:
        """Which rounded images lie outside of the cell's ball, (n,): by up to half a level.

        None does where the radius is a whole number of 255ths.
        """
        found: NDArray[np.bool_] = self.steps > int(self.cell.radius.fraction * LEVELS)
        return found


def _differing(one: Codes, other: Codes) -> NDArray[np.int64]:
    found: NDArray[np.int64] = (one != other).sum(axis=1, dtype=np.int64)
    return found


def _length(change: Floats) -> Floats:
    found: Floats = np.sqrt(np.square(change).reshape(len(change), -1).sum(axis=1))
    return found


def in_whole_pixels(images: NDArray[np.float32]) -> Bytes:
    """Images in `[0, 1]` as uint8, each pixel the nearest of 256; the even one of two."""
    # A float32 times 255 is exact in a double.
    levels: Bytes = np.rint(images.astype(np.float64) * LEVELS).astype(np.uint8)
    return levels


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
        with torch_threads(compute.threads), exact(compute.device):
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
