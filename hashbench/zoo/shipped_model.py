"""Runs the shipped model through the whole pipeline, as any other model: plan, steps, scores."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hashbench.errors import ModelError
from hashbench.results.cell import CLEAN, Status
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import run
from hashbench.runner.suite import compose
from hashbench.zoo.stated import EPS, MEASURED, SHIPPED, Compared, compared


def measured_model(device: str = "cpu", reporter: Reporter | None = None) -> tuple[Compared, ...]:
    """Attack the shipped model here, and compare with what is stated of it.

    Results go into a temporary folder, which is taken away.

    Args:
        device: `cpu` or `cuda`.
        reporter: told how it goes; by default nobody.

    Raises:
        UsageError: the model's files are missing, or the device is not there.
        ModelError: a step failed; says why.
        OSError: nothing can be written into the folder for temporary files.
    """
    suite = compose(
        None,
        {
            "model": [str(SHIPPED)],
            "attack": [name for name in MEASURED if name != CLEAN],
            "eps": [EPS],
            "compute": {"device": device},
        },
    )
    with tempfile.TemporaryDirectory(prefix="hashbench-") as folder:
        results = run(suite, out=Path(folder), reporter=reporter)
    for result in results.cells:
        if result.status is not Status.DONE:
            raise ModelError(f"{result.cell.attack}: {result.reason}")
    return compared(
        {
            result.cell.attack: result.metrics[results.metric(result.cell)]
            for result in results.cells
        }
    )
