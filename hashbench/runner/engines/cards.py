"""The GPUs of this machine that workers are spread over, by number."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import torch

from hashbench.errors import UsageError
from hashbench.runner.suite import Suite

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
"""The variable that says which GPUs a process sees; whoever started us may have set it."""


def check_cards(suite: Suite, devices: Sequence[int], workers: int) -> None:
    """Refuse GPUs that cannot be worked on, before anything is read.

    Torch counts them through the driver's library, so that no memory of a GPU is taken for it.

    Args:
        suite: what will be run.
        devices: their numbers; none asks for nothing.
        workers: how many steps are made at the same time.

    Raises:
        UsageError: a sentence that says why, and what to do.
    """
    if not devices:
        return
    if suite.compute.device == "cpu":
        raise UsageError(
            "devices names GPUs, but the run computes on the CPU: add --device cuda, or leave "
            "--devices out"
        )
    if len(devices) > workers:
        raise UsageError(
            f"devices names {len(devices)} GPUs for {workers} worker{'s' * (workers > 1)}, and a "
            f"worker computes on one: add --workers {len(devices)}, or name fewer GPUs"
        )
    count = torch.cuda.device_count()
    missing = [str(number) for number in devices if number >= count]
    if missing:
        there = "none" if not count else "0" if count == 1 else f"0 to {count - 1}"
        outer = os.environ.get(VISIBLE)
        why = "" if outer is None else f" ({VISIBLE} is '{outer}', and they are counted within it)"
        raise UsageError(
            f"devices names GPU {' and '.join(missing)}, which is not here: there is {there}{why}"
        )


def cards_of(devices: Sequence[int]) -> tuple[str, ...]:
    """What `CUDA_VISIBLE_DEVICES` has to be for a process to see each of these GPUs alone."""
    outer = os.environ.get(VISIBLE)
    if outer is None:
        return tuple(str(number) for number in devices)
    seen = [name.strip() for name in outer.split(",")]
    return tuple(seen[number] for number in devices)
