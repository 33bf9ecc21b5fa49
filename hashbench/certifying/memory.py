"""Which values lie in the same memory: a change in place of one is a change of all of them."""

from __future__ import annotations

from typing import Final

from hashbench.certifying.operation_table import VIEWS
from hashbench.certifying.program import Does, Step, Value, called
from hashbench.errors import UncertifiableError

_VIEWING_LAYERS: Final = ("Identity", "Flatten", "Unflatten", "Dropout", "Pad")


def refuse_shared_changes(steps: list[Step], result: Value) -> None:
    """Refuse a change in place of what is used again afterwards, or of a weight.

    A walk keeps the old value, while the model uses the new one.

    Args:
        steps: in their order.
        result: where the logits are.

    Raises:
        UncertifiableError: there is one; names where.
    """
    # For each value the place of the first one in its memory.
    first = [0]
    for number, step in enumerate(steps):
        shares = bool(step.needs()) and (step.inplace or _is_view(step))
        first.append(first[step.needs()[0]] if shares else number + 1)
    needed = [step.needs() for step in steps]
    for number, step in enumerate(steps):
        if not step.inplace or not step.needs():
            continue
        memory = first[number + 1]
        if memory and steps[memory - 1].does is Does.READ:
            raise UncertifiableError(f"{step.where} changes a weight in place")
        later = (*(place for places in needed[number + 1 :] for place in places), result.place)
        if any(place <= number and first[place] == memory for place in later):
            raise UncertifiableError(
                f"{step.where} changes a value in place that is used again afterwards"
            )


def _is_view(step: Step) -> bool:
    if step.does is Does.LAYER:
        return any(kind in step.where for kind in _VIEWING_LAYERS)
    if step.does is Does.READ:
        return False
    name = called(step.target)
    return name in VIEWS or "dropout" in name or name in ("getitem", "stochastic_depth", "pad")
