"""Makes the files that the metrics of a cell are kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from hashbench.progress import Progress
from hashbench.results.artifacts import CODES, PER_QUERY, SCORES
from hashbench.results.store import Store
from hashbench.runner.evaluation_steps import Scores
from hashbench.runner.loading import data_of, npz, probe_answers_of, read_npz
from hashbench.runner.scoring import score_attack, score_clean


def scores(step: Scores, store: Store, _progress: Progress) -> Mapping[str, bytes]:
    """The metrics of a cell, and the average precision of each query."""
    setting = step.setting
    data, protocol = data_of(setting), setting.source.protocol
    clean = read_npz(store, step.codes, CODES)
    answers: dict[str, float] = {}
    if step.adversarial is None:
        found = score_clean(clean, data, protocol)
    else:
        attacked = read_npz(store, step.adversarial, CODES)
        found = score_attack(clean, attacked, data, protocol)
    if step.probe is not None:
        answers = probe_answers_of(step.probe, store)
    summary = {"metrics": {**found.metrics, **answers}, "curve": asdict(found.curve)}
    return {
        SCORES: (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode(),
        PER_QUERY: npz(found.per_query),
    }
