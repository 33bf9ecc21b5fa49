"""What the training of a model took, as passes over the train set. Pure.

A longer recipe can move a row more than a better method: what is compared is seen beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hashbench.errors import UsageError
from hashbench.plugins import Spec

UNTRAINED: Final = frozenset(
    {
        "none",
        "jpeg",
        "bit-depth",
        "resize-pad",
        "control-scaled",
        "control-random",
        "control-quantised",
        "control-collapsed",
        "control-order",
    }
)
"""Defenses that ship and train nothing: their weights are the base model's."""

TRAINED: Final = frozenset({"atrdh", "cgat", "saat"})
"""Those that go on training it, with the budget unless their name says otherwise."""

BOXED: Final = {"certified": 3}
"""Passes of one image and epoch of those that train on bounds, not on attacks: the clean one, and
the two of a box, its middle and its width. Where one of them weighs 0 it is not made."""

OUTER: Final = 2
"""Passes of one image and epoch besides the inner steps: the clean and the adversarial one."""


def training_passes(defense: str, training: Mapping[str, Any]) -> int | None:
    """Forward and backward passes per train image, of the base model and of the defense.

    That is `epochs` of the base model, and of a trained defense `epochs * (inner_steps + 2)` on top
    (of one that trains on bounds `epochs * 3`), by the budget or by what its own name says. Forward
    passes without a backward one (the first filling of a memory) and small auxiliary networks do
    not count.

    Args:
        defense: canonical text.
        training: as recorded, see `Leaderboard.training`.

    Returns:
        `None` where that is not recorded: for models from elsewhere, and for defenses that do not
        ship with hashbench, whose training nobody wrote down.
    """
    try:
        spec = Spec.parse(defense)
    except UsageError:
        return None
    base = _whole(training.get("base"), "epochs")
    if base is None:
        return None
    if spec.name in UNTRAINED:
        return base
    if spec.name not in TRAINED and spec.name not in BOXED:
        return None
    granted = training.get("budget")
    own = dict(spec.given)
    counts = [
        _whole(own, key) if key in own else _whole(granted, key)
        for key in ("epochs", "inner_steps")
    ]
    epochs, steps = counts
    if epochs is not None and spec.name in BOXED:
        return base + epochs * BOXED[spec.name]
    if epochs is None or steps is None:
        return None
    return base + epochs * (steps + OUTER)


def _whole(table: object, key: str) -> int | None:
    """A whole number of a table, be it written as text; `None` where there is none."""
    found = table.get(key) if isinstance(table, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, int | str):
        return None
    text = str(found)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
