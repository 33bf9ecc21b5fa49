"""The shipped model: whether it gives under attack what is stated of it.

What is stated was measured on processors, and so were the tolerances. On a GPU a value that is
further off is told, and not called wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hashbench.doctor.finding import Finding, State

if TYPE_CHECKING:
    from hashbench.zoo.stated import Compared

TODO = (
    "this installation computes something else than the builds in docs/reproducing.md: reinstall "
    "torch and torchvision, and report it with the lines above if it stays so"
)

NOT_MEASURED = (
    "these tolerances were measured on processors, not on a GPU, so a value that is further off is "
    "no proof of a fault: compare it with the line of the cpu above, and report both"
)


def model(device: str) -> Iterator[Finding]:
    """Attack it, and compare value by value. Imports torch.

    Args:
        device: `cpu` or `cuda`.
    """
    from hashbench.zoo.shipped_model import measured_model

    subject = f"model, {device}"
    otherwise, todo = (State.WRONG, TODO) if device == "cpu" else (State.NOTE, NOT_MEASURED)
    off = False
    for value in measured_model(device):
        off = off or not value.holds
        yield Finding(subject, State.OK if value.holds else otherwise, _sentence(value))
    if off:
        yield Finding(subject, otherwise, todo)


def _sentence(value: Compared) -> str:
    from hashbench.results.cell import CLEAN  # which needs numpy

    name = "clean" if value.attack == CLEAN else value.attack
    verdict = "as stated" if value.holds else "NOT as stated"
    return (
        f"{name}: mAP {100 * value.measured:.3f} %, {verdict} "
        f"({100 * value.stated:.3f}, up to {100 * value.tolerance:.2f} off)"
    )
