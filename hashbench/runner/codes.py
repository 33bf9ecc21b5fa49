"""Takes over models that were made elsewhere, and makes the codes of all models."""

from __future__ import annotations

from collections.abc import Mapping

from hashbench.errors import ModelError, UsageError
from hashbench.hashing.checkpoint import CARD, WEIGHTS, load_checkpoint
from hashbench.hashing.encode import encode_splits
from hashbench.progress import Progress
from hashbench.results.artifacts import CODES
from hashbench.results.metrics import spoken
from hashbench.results.store import Store
from hashbench.runner.fingerprint import content_hash
from hashbench.runner.loading import data_of, load_model, new_model, npz
from hashbench.runner.scoring import score_clean
from hashbench.runner.steps import GivenModel, ModelCodes

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
