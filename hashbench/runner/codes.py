"""Takes over models that were made elsewhere, and makes the codes of all models."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hashbench.data.images import Pixels, RetrievalData
from hashbench.errors import ModelError, TrainingError, UsageError
from hashbench.hashing.checkpoint import CARD, WEIGHTS, load_checkpoint
from hashbench.hashing.encode import device_of, encode, encode_splits
from hashbench.hashing.model import HashModel
from hashbench.progress import Progress
from hashbench.results.artifacts import CODES
from hashbench.results.metrics import spoken
from hashbench.results.store import Store
from hashbench.runner.fingerprint import content_hash
from hashbench.runner.loading import data_of, load_model, new_model, npz
from hashbench.runner.scoring import score_clean
from hashbench.runner.steps import DatabaseCodes, GivenModel, ModelCodes
from hashbench.runner.stored import NOT_DIVIDED, codes_part_of

CLAIM_TOLERANCE = 0.002
"""By how much mAP may differ from a card's: another processor adds floats in another order, which
turns an output here and there; a wrong transform or a wrong split costs far more."""


def given_model(step: GivenModel, _store: Store, _progress: Progress) -> Mapping[str, bytes]:
    """The weights as they were found: a store holds all that its results come from."""
    if step.program is not None:
        return step.program.files()
    if content_hash(step.folder / WEIGHTS) != step.weights:
        raise UsageError(f"model {step.folder}: {WEIGHTS} changed while the run went on")
    load_checkpoint(step.folder, new_model(step.setting, bare=True))
    names = (WEIGHTS, CARD)
    return {name: (step.folder / name).read_bytes() for name in names}


def model_codes(step: ModelCodes, store: Store, _progress: Progress) -> Mapping[str, bytes]:
    """The codes of train set, queries and database; of a model whose card holds."""
    data = data_of(step.setting)
    arrays = _joined(step, store, data)
    if arrays is None:
        arrays = encode_splits(load_model(step.model, store), data)
    if isinstance(step.model, GivenModel):
        protocol = step.setting.source.protocol
        check_claim(step.model, score_clean(arrays, data, protocol).metrics)
    return {CODES: npz(arrays)}


def check_claim(model: GivenModel, measured: Mapping[str, float]) -> None:
    """Refuse a model that does not give the clean mAP that its card claims.

    Raises:
        ModelError: it differs by more than `CLAIM_TOLERANCE`; no number of it may be ranked.
    """
    for name, claimed in model.clean:
        if abs(measured[name] - claimed) > CLAIM_TOLERANCE:
            raise ModelError(
                f"model {model.folder}: its card claims a clean {spoken(name)} of "
                f"{100 * claimed:.2f} %, "
                f"but here it gives {100 * measured[name]:.2f} %"
            )


def database_codes(step: DatabaseCodes, store: Store, progress: Progress) -> Mapping[str, bytes]:
    """The codes of some rows of the database, in the blocks in which all of it is encoded.

    A model that draws at random, or changes its buffers, answers by what it was asked before. Its
    part holds no codes: the database is then encoded at once, where its parts would be joined.
    """
    model = load_model(step.codes.model, store)
    images, rows = data_of(step.setting).database.images, step.rows
    draws, buffers = _draws(model), [value.detach().clone() for value in model.buffers()]

    def read(done: int) -> None:
        if _draws(model) != draws:
            raise _NotDividedError
        progress(done, len(rows))

    try:
        encoded = encode(model, _Rows(images, rows, read))
        read(len(rows))
        if not all(map(torch.equal, buffers, model.buffers())):
            raise _NotDividedError
    except _NotDividedError:
        nothing = np.empty((0, step.setting.bits), dtype=np.int8)
        return {CODES: npz({"database": nothing, "saturated": np.array(NOT_DIVIDED)})}
    except TrainingError as error:
        where = f"counted from image {rows.start} of the database"
        raise TrainingError(f"{error} ({where})") from error
    # A share of so few is the count divided by how many there are, rounded once.
    saturated = round(encoded.saturated * encoded.codes.size)
    return {CODES: npz({"database": encoded.codes, "saturated": np.array(saturated)})}


def _joined(step: ModelCodes, store: Store, data: RetrievalData) -> dict[str, NDArray[Any]] | None:
    """The arrays of `encode_splits`, the database's from its parts; `None` without such parts."""
    found = [codes_part_of(part, store) for part in step.parts]
    counts = [saturated for _, saturated in found]
    if not found or NOT_DIVIDED in counts:
        return None
    model = load_model(step.model, store)
    arrays: dict[str, NDArray[Any]] = {}
    for name in ("train", "query"):
        encoded = encode(model, getattr(data, name).images)
        arrays[name] = encoded.codes
        arrays[f"{name}_saturated"] = np.array(encoded.saturated)
    arrays["database"] = np.concatenate([codes for codes, _ in found])
    arrays["database_saturated"] = np.array(sum(counts) / arrays["database"].size)
    return arrays


class _NotDividedError(Exception):
    """A model answers by what it was asked before."""


class _Rows:
    """Some rows of images, which stay where they are; tells before each reading how far it is."""

    def __init__(self, images: Pixels, rows: range, read: Callable[[int], None]) -> None:
        self._images = images
        self._rows = rows
        self._read = read

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self._images.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._images.dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        if not isinstance(index, slice):
            return self._images[index + self._rows.start]
        part = self._rows[index]
        self._read(part.start - self._rows.start)
        return self._images[part.start : part.stop]


def _draws(model: HashModel) -> tuple[object, ...]:
    """Where the process-wide generators are, which a model may draw from; no GPU is waited for."""
    legacy = np.random.get_state(legacy=False)["state"]  # noqa: NPY002 - plugins may use it
    device = device_of(model)
    return (
        torch.get_rng_state().numpy().tobytes(),
        torch.cuda.get_rng_state(device).numpy().tobytes() if device.type == "cuda" else b"",
        legacy["key"].tobytes(),
        legacy["pos"],
        random.getstate(),
    )
