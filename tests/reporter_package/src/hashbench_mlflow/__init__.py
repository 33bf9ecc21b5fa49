"""A reporter: every run of hashbench as a run of MLflow. It knows hashbench's public API only.

Where MLflow writes is told by its own variable, `MLFLOW_TRACKING_URI`; no server is needed.
"""

from __future__ import annotations

import re
import time
from typing import Any

import mlflow

import hashbench


class MLflowReporter(hashbench.Reporter):
    """Write suite, times, failures and the scores of every cell to MLflow."""

    def planned(self, asked: Any) -> None:
        """Open a run with what was asked for."""
        mlflow.set_experiment("hashbench")
        mlflow.start_run(run_name=asked.suite or "hashbench")
        mlflow.log_params({"folder": asked.folder, "cells": len(asked.cells)})
        mlflow.set_tags({f"made with {name}": value for name, value in asked.made_with.items()})
        mlflow.set_tag("command", asked.command)
        mlflow.log_text(asked.suite_text, "suite.toml")
        self._began = time.monotonic()
        self._steps = 0
        self._status = "KILLED"  # unless it comes to its results

    def finished(self, step: Any, seconds: float) -> None:  # noqa: ARG002 - named so by hashbench
        """Draw how long steps take."""
        self._steps += 1
        mlflow.log_metric("seconds of a step", seconds, step=self._steps)

    def failed(self, step: Any, reason: str, dropped: int) -> None:  # noqa: ARG002
        """Keep why a step failed."""
        mlflow.set_tag(f"failed {step.key[:12]}", f"{step.label}: {reason}")

    def results(self, results: Any) -> None:
        """Write the metrics of all cells, and the table as it is exported."""
        done = [result for result in results.cells if result.metrics]
        for result in done:
            cell = result.cell
            row = f"{cell.dataset} {cell.loss} {cell.bits} {cell.defense} {cell.seed}"
            column = f"{cell.attack} {cell.eps}"
            for name, value in result.metrics.items():
                # MLflow takes letters, digits and a few signs.
                told = re.sub(r"[^\w\-. /:]", "-", f"{name}/{row}/{column.replace('/', ':')}")
                mlflow.log_metric(told[:250], value)
        mlflow.log_text(results.to_frame().to_csv(index=False), "results.csv")
        self._status = "FINISHED" if len(done) == len(results.cells) else "FAILED"

    def end(self) -> None:
        """Close the run, however it ended."""
        if mlflow.active_run() is not None:
            mlflow.log_metric("seconds", time.monotonic() - self._began)
            mlflow.end_run(self._status)
