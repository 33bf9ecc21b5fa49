"""Models to hand on: out of a store into a folder with a card, and the check of such a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hashbench.atomic import write_folder
from hashbench.errors import StoreError, UsageError
from hashbench.hashing.checkpoint import CARD, WEIGHTS, ModelCard, card_bytes, read_card
from hashbench.hashing.programs.sorts import ProgramKind
from hashbench.outputs import refuse_taken
from hashbench.progress import Progress, no_progress
from hashbench.results.artifacts import CODES, ArtifactKind
from hashbench.results.cell import Cell, CellResult, Status
from hashbench.results.load import read_folders
from hashbench.results.planned import stored_plans
from hashbench.results.results import Results
from hashbench.results.store import Store
from hashbench.runner.codes import CLAIM_TOLERANCE
from hashbench.runner.execute import execute
from hashbench.runner.fingerprint import content_hash
from hashbench.runner.from_card import given_model
from hashbench.runner.loading import data_of, read_npz
from hashbench.runner.object_model import RECORD
from hashbench.runner.resolve import check_device
from hashbench.runner.scoring import score_clean
from hashbench.runner.steps import ModelCodes
from hashbench.runner.suite import compose

NO_LICENCE = "not stated"

_FILES: Final = (WEIGHTS, *(kind.file for kind in ProgramKind))
"""What a model's step may keep of it."""


@dataclass(frozen=True)
class Claim:
    """What a model's card says of its clean mAP, and what it gives here.

    Attributes:
        metric: the canonical name of mAP under the card's protocol.
        claimed, measured: in `[0, 1]`.
    """

    metric: str
    claimed: float
    measured: float

    @property
    def holds(self) -> bool:
        """Whether the model may stand in a table."""
        return abs(self.measured - self.claimed) <= CLAIM_TOLERANCE


def export_model(
    results: Path, to: Path, wanted: Mapping[str, str], *, licence: str = NO_LICENCE
) -> ModelCard:
    """Write one defended model of a store into a folder of its own.

    Args:
        results: the store.
        to: a folder that does not exist yet, or is empty.
        wanted: which model, as text by column: `defense`, `seed`, ... A plugin's name without
            parameters means it with any.
        licence: under which the weights are handed on.

    Returns:
        Its card.

    Raises:
        UsageError: none or several models fit, the model has no result yet, or `to` is not empty.
    """
    refuse_taken(to)
    loaded = read_folders(results)
    result = _only(loaded, wanted)
    store = Store(results)
    weights, made = weights_of(store, result.cell)
    card = _card(loaded, result, made, weights, licence)
    write_folder(to, {weights.name: weights.read_bytes(), CARD: card_bytes(card)}, last=CARD)
    return card


def check_model(
    folder: Path, root: Path | None, device: str | None = None, progress: Progress = no_progress
) -> Claim:
    """Measure a model's clean mAP as a run does.

    Args:
        folder: the model.
        root: the folder of its data set, where that needs one.
        device: `cpu` or `cuda`; by default what the card says, as threads and precision.
        progress: told of images that are decoded for the first time.

    Raises:
        UsageError: the folder, its card or the data are not what they should be.
    """
    changes = {} if device is None else {"compute": {"device": device}}
    compute = compose(None, {"model": [str(folder)], **changes}).compute
    check_device(compute.device)
    given = given_model(folder, root, compute, progress)
    step = replace(given.step, clean=())  # measured, not compared: the caller says both
    metric = step.setting.source.protocol.metric
    claimed = dict(given.step.clean)
    if metric not in claimed:
        raise UsageError(f"model {folder}: its card gives no clean {metric}")
    with tempfile.TemporaryDirectory(prefix="hashbench-") as scratch:
        store = Store(Path(scratch))
        codes = ModelCodes(step)
        for part in (step, *codes.parts, codes):
            execute(part, store, no_progress)
        arrays = read_npz(store, codes, CODES)
    source = step.setting.source
    scores = score_clean(arrays, data_of(step.setting), source.protocol)
    return Claim(metric, claimed[metric], scores.metrics[metric])


def _only(results: Results, wanted: Mapping[str, str]) -> CellResult:
    """The clean result of the one model that is meant."""
    # One model that was attacked under two protocols is one: its clean numbers are the same.
    apart = {
        _unattacked(results, result.cell): result
        for result in results.cells
        if result.cell.is_clean
    }
    models = list(apart.values())
    fitting = [result for result in models if _fits(result.cell, wanted)]
    asked = ", ".join(f"{name} {value}" for name, value in wanted.items()) or "any"
    if len(fitting) != 1:
        names = [_named(result.cell) for result in fitting or models]
        shown = "; ".join(names[:6]) + ("; ..." if len(names) > 6 else "")
        how_many = f"{len(fitting)} models fit" if fitting else "no model fits"
        raise UsageError(f"{how_many} ({asked}); there are: {shown}. Say more, such as --seed 0")
    result = fitting[0]
    if result.status is not Status.DONE:
        raise UsageError(f"the model {_named(result.cell)} has no clean result: {result.reason}")
    return result


def _unattacked(results: Results, cell: Cell) -> Cell:
    return replace(cell, protocol=results.protocols[cell.protocol].unattacked.hash)


def _fits(cell: Cell, wanted: Mapping[str, str]) -> bool:
    for column, value in wanted.items():
        text = str(getattr(cell, column))
        if text != value and (":" in value or text.split(":")[0] != value):
            return False
    return True


def _named(cell: Cell) -> str:
    return (
        f"{cell.defense} on {cell.dataset}, {cell.loss}, {cell.backbone}, {cell.bits} bits, "
        f"seed {cell.seed}, protocol {cell.protocol[:8]}, training {cell.training[:8]}"
    )


def weights_of(store: Store, cell: Cell) -> tuple[Path, dict[str, Any]]:
    """The file of the model's weights, and the record of how the model was made.

    Raises:
        UsageError: the model was an object of a program, so nobody has its weights.
        StoreError: they are missing or damaged.
    """
    for plan in reversed(list(stored_plans(store))):
        for planned in plan.cells:
            if planned.cell != cell or not store.has(planned.scores):
                continue
            models = [step for step in planned.steps if step.kind == ArtifactKind.MODEL]
            record = store.record(models[-1]) if models else None
            if record is None:
                break
            # A wrapper has no weights of its own: they are its base model's, one step before.
            for address in reversed(models):
                found = store.record(address)
                name = next((one for one in _FILES if found and one in found["files"]), None)
                if name is not None:
                    file = store.file(address, name)
                    # One that was given with a wrapper around it is one step, and its card says so.
                    wraps = address != models[-1] or read_card(file.parent).wraps
                    return file, {**record, "wraps": wraps}
                if found and RECORD in found["files"]:
                    raise UsageError("its model was an object of a program, which no folder holds")
    raise StoreError(
        f"folder {store.folder}: the weights of {_named(cell)} are missing or damaged; run it again"
    )


def _card(
    results: Results, result: CellResult, made: Mapping[str, Any], weights: Path, licence: str
) -> ModelCard:
    cell, metric = result.cell, results.metric(result.cell)
    stored = read_card(weights.parent)
    # A model is handed on with its clean numbers alone.
    protocol = results.protocols[cell.protocol].unattacked
    return replace(
        stored,
        defense=cell.defense,
        training=dict(results.trainings[cell.training]),
        wraps=made["wraps"],
        protocol=protocol.hash,
        protocol_card=protocol.to_plain(),
        clean={metric: result.metrics[metric]},
        weights=content_hash(weights),
        versions=dict(made["environment"]),
        licence=licence,
    )
