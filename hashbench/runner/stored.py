"""Whether what a step has written can be used: whole, and something that it can have written."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import FileError
from hashbench.files import parsed_json
from hashbench.plugins.card import Aim
from hashbench.results.arrays import Array, check_array, read_all_arrays
from hashbench.results.artifacts import CODES, PROBE
from hashbench.results.metrics import wrong_metric
from hashbench.results.scored import Measured, measured
from hashbench.results.store import Artifact, Store
from hashbench.runner.evaluation_steps import AdversarialCodes, Probe, Scores
from hashbench.runner.steps import ModelCodes, Step

CodesStep = ModelCodes | AdversarialCodes
"""What writes a codes artifact."""

_SHARES: Final = ("linf", "zero_gradients", "dependent")
"""Arrays of at most 1, besides those of saturated outputs."""


def is_usable(step: Step, store: Store, known: dict[str, Measured]) -> bool:
    """Whether a step need not be made again.

    What reads an artifact would refuse it by the same rules; so whatever damage there is, whoever
    made it, the next run mends it.

    Args:
        step: any.
        store: where its artifact may lie.
        known: by the keys of scores, what was read of them already; gets what is read now.
    """
    try:
        if isinstance(step, Scores):
            if step.key not in known:
                found = measured(store, step.address, step.setting.source.protocol)
                if found is None:
                    return False
                known[step.key] = found
            return True
        if isinstance(step, ModelCodes | AdversarialCodes | Probe):
            artifact = store.artifact(step.address)
            if artifact is None:
                return False
            if isinstance(step, Probe):
                probe_of(artifact)
            else:
                codes_of(step, artifact)
            return True
    except FileError:
        return False
    return store.has(step.address)


def codes_of(step: CodesStep, artifact: Artifact, name: str = CODES) -> dict[str, NDArray[Any]]:
    """The arrays of a codes artifact, each as the step writes it.

    Raises:
        FileError: it is damaged, or holds other arrays.
    """
    setting = step.setting
    protocol, bits = setting.source.protocol, setting.bits
    counts = {"train": protocol.train, "query": protocol.query, "database": protocol.database}
    each, share = protocol.query, Array("f8", ())
    wanted = {name: Array("i1", (count, bits)) for name, count in counts.items()}
    wanted |= {f"{name}_saturated": share for name in counts}
    if isinstance(step, AdversarialCodes):
        wanted = {
            "codes": Array("i1", (each, bits)),
            **dict.fromkeys(("linf", "l2"), Array("f8", (each,))),
            **dict.fromkeys(("forwards", "backwards"), Array("i8", ())),
            **dict.fromkeys(("saturated", "zero_gradients"), share),
        }
        if step.attack.aim() is Aim.TARGETED:
            wanted["target_labels"] = Array("u1", (each, protocol.classes))
    # A later version may keep more of each image, or of the whole.
    limit = 2**16 + sum(array.bytes for array in wanted.values()) + 1_024 * sum(counts.values())
    content = artifact.read(name, limit)
    try:
        arrays = read_all_arrays(content, limit)
        if "dependent" in arrays:  # where the attack was asked again
            wanted["dependent"] = share
        for key, array in wanted.items():
            if key not in arrays:
                raise FileError(f"it lacks the array '{key}'")
            check_array(key, arrays[key], array)
            _check_values(key, arrays[key])
    except FileError as error:
        raise FileError(f"{name}: {error}") from None
    return arrays


def _check_values(name: str, array: NDArray[Any]) -> None:
    """Codes are of +1 and -1, all else is finite and not negative; shares are at most 1."""
    if array.dtype == np.int8:
        right = bool((np.abs(array) == 1).all())
    else:
        most = 1.0 if "saturated" in name or name in _SHARES else np.inf
        right = bool((np.isfinite(array) & (array >= 0) & (array <= most)).all())
    if not right:
        raise FileError(f"the array '{name}' holds values that no run can have measured")


def probe_of(artifact: Artifact) -> dict[str, float]:
    """The metrics of a probe, by name.

    Raises:
        FileError: they are damaged, or nothing that a probe can have measured.
    """
    content = artifact.read(PROBE)
    try:
        answers = parsed_json(content)
        known = isinstance(answers, dict) and all(
            type(value) is float for value in answers.values()
        )
        if not known or wrong_metric(answers) is not None:
            raise FileError("it holds no metrics of a probe")
    except FileError as error:
        raise FileError(f"{PROBE}: {error}") from None
    return dict(answers)
