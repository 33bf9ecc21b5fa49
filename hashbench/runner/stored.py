"""Whether what a step has written can be used: whole, and something that it can have written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import FileError, StoreError, UsageError
from hashbench.files import parsed_json
from hashbench.plugins.card import Aim
from hashbench.results.address import Address
from hashbench.results.arrays import (
    Array,
    check_array,
    largest_file,
    read_all_arrays,
    read_arrays,
)
from hashbench.results.artifacts import CODES, PROBE
from hashbench.results.kept_gallery import address_of_gallery
from hashbench.results.kept_images import address_of_images
from hashbench.results.metrics import wrong_metric
from hashbench.results.scored import Measured, measured
from hashbench.results.store import Artifact, Store
from hashbench.retrieval import Tally
from hashbench.runner.evaluation_steps import (
    AdversarialCodes,
    Certificate,
    Comparison,
    DistanceTallies,
    MoreImages,
    Probe,
    Scores,
)
from hashbench.runner.steps import DatabaseCodes, ModelCodes, Step

CodesStep = ModelCodes | AdversarialCodes
"""What writes a codes artifact."""

NOT_DIVIDED: Final = -1
"""Saturated outputs of a part without codes: the model has to be asked for the whole database."""

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
        if isinstance(step, Scores | Certificate):
            if step.key not in known:
                found = measured(
                    store,
                    step.address,
                    step.setting.source.protocol,
                    certificate=isinstance(step, Certificate),
                )
                if found is None:
                    return False
                known[step.key] = found
            return True
        if isinstance(step, DatabaseCodes):
            codes_part_of(step, store)
            return True
        if isinstance(step, DistanceTallies):
            tallies_of(step, store)
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
    except (FileError, StoreError):
        return False
    return store.has(step.address)


def add_unmade(step: Step, needed: dict[str, Step], is_there: Callable[[Step], bool]) -> None:
    """Add a step that has to be made, and what it is made from where that has to be made first.

    Args:
        step: any.
        needed: by key.
        is_there: whether what a step makes is in the store.
    """
    if step.key in needed or is_there(step):
        return
    for before in step.reads:
        add_unmade(before, needed, is_there)
    needed[step.key] = step


def places_of(step: Step) -> tuple[Address, ...]:
    """Where making a step writes artifacts: its own, and those that go with it."""
    attack = step.adversarial if isinstance(step, MoreImages) else step
    if not isinstance(attack, AdversarialCodes):
        return (step.address,)
    mine = attack.address
    return mine, address_of_images(mine), address_of_gallery(mine)


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


def codes_part_of(step: DatabaseCodes, store: Store) -> tuple[NDArray[np.int8], int]:
    """The codes of a finished part, and how many outputs are saturated; `NOT_DIVIDED` with none.

    Raises:
        StoreError: it is missing or damaged, or nothing that the step can have written.
    """
    rows, bits = len(step.rows), step.setting.bits
    wanted = {"database": Array("i1", (rows, bits)), "saturated": Array("i8", ())}
    content = _content(step, store, CODES, largest_file(wanted))
    try:
        saturated = int(read_arrays(content, {"saturated": wanted["saturated"]})["saturated"])
        if saturated == NOT_DIVIDED:
            wanted["database"] = Array("i1", (0, bits))
        codes = read_arrays(content, wanted)["database"]
        check_array("database", codes, wanted["database"])
        _check_values("database", codes)
        if not NOT_DIVIDED <= saturated <= rows * bits:
            raise FileError("it counts more saturated outputs than there are outputs")
    except FileError as error:
        raise _not_whole(step, store, f"{CODES}: {error}") from None
    return codes, saturated


def tallies_of(step: DistanceTallies, store: Store) -> dict[Comparison, Tally]:
    """The counts of a finished part, by what is compared.

    Raises:
        StoreError: as of `codes_part_of`.
    """
    queries, distances = step.setting.source.protocol.query, step.setting.bits + 1
    array = Array("i8", (queries, distances))
    limit = largest_file({"total": array, "relevant": array})
    found: dict[Comparison, Tally] = {}
    for comparison in step.scores.comparisons:
        name = file_of(comparison)
        content = _content(step, store, name, limit)
        try:
            tally = Tally.from_bytes(content)
        except UsageError as error:
            raise _not_whole(step, store, f"{name}: {error}") from None
        if tally.total.shape != array.shape or tally.items != len(step.rows):
            raise _not_whole(step, store, f"{name}: it counts another database or other queries")
        found[comparison] = tally
    return found


def file_of(comparison: Comparison) -> str:
    """The file of the counts of one comparison."""
    return f"{comparison}.npz"


def _content(step: Step, store: Store, name: str, limit: int) -> bytes:
    try:
        artifact = store.artifact(step.address)
        if artifact is None:
            raise FileError("it is missing")
        return artifact.read(name, limit)
    except FileError as error:
        raise _not_whole(step, store, str(error)) from None


def _not_whole(step: Step, store: Store, cause: str) -> StoreError:
    return StoreError(f"{store.folder / step.address.path}: {cause}; run it again")
