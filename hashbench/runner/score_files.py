"""Makes the files that the metrics of a cell are kept in."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from numpy.typing import NDArray

from hashbench.errors import StoreError
from hashbench.progress import Progress
from hashbench.results.artifacts import CODES, PER_QUERY, SCORES
from hashbench.results.store import Store
from hashbench.retrieval import Tally, merge_tallies
from hashbench.runner.evaluation_steps import Comparison, DistanceTallies, Scores
from hashbench.runner.loading import data_of, npz, probe_answers_of, read_npz
from hashbench.runner.scoring import (
    Codes,
    compared_attack,
    compared_clean,
    score_attack,
    score_clean,
)
from hashbench.runner.steps import DatabaseCodes
from hashbench.runner.stored import codes_part_of, file_of, tallies_of


def scores(step: Scores, store: Store, _progress: Progress) -> Mapping[str, bytes]:
    """The metrics of a cell, and the average precision of each query."""
    setting = step.setting
    data, protocol = data_of(setting), setting.source.protocol
    clean = read_npz(store, step.codes, CODES)
    threads = setting.compute.threads
    tallies = _merged(step, store)
    answers: dict[str, float] = {}
    if step.adversarial is None:
        found = score_clean(clean, data, protocol, threads=threads, tallies=tallies)
    else:
        attacked = read_npz(store, step.adversarial, CODES)
        found = score_attack(clean, attacked, data, protocol, threads=threads, tallies=tallies)
    if step.probe is not None:
        answers = probe_answers_of(step.probe, store)
    summary = {"metrics": {**found.metrics, **answers}, "curve": asdict(found.curve)}
    return {
        SCORES: (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode(),
        PER_QUERY: npz(found.per_query),
    }


def distance_tallies(step: DistanceTallies, store: Store, progress: Progress) -> dict[str, bytes]:
    """The counts of some rows of the database, for all that a cell compares with it."""
    setting, adversarial = step.setting, step.scores.adversarial
    data, rows = data_of(setting), slice(step.rows.start, step.rows.stop)
    if adversarial is None:
        clean = read_npz(store, step.codes, CODES)
        compared = compared_clean(clean, data)
        codes = clean["database"][rows]
    else:
        compared = compared_attack(read_npz(store, adversarial, CODES), data)
        codes = _rows_of_codes(step, store)
    files = {}
    for done, (comparison, one) in enumerate(compared.items()):
        progress(done, len(compared))
        scorer = one.scorer(codes, data.database.labels[rows], threads=setting.compute.threads)
        files[file_of(comparison)] = scorer.tally.to_bytes()
    return files


def _rows_of_codes(step: DistanceTallies, store: Store) -> NDArray[Any]:
    """The database's codes of a part, out of the small file of that part if it is there.

    It may be deleted once the codes are joined, and holds nothing for some models.
    """
    with contextlib.suppress(StoreError):  # deleted, or damaged: then it is no help
        codes, _ = codes_part_of(DatabaseCodes(step.codes, step.rows), store)
        if len(codes):
            return codes
    whole: Codes = read_npz(store, step.codes, CODES)
    return whole["database"][step.rows.start : step.rows.stop]


def _merged(step: Scores, store: Store) -> dict[Comparison, Tally]:
    """The counts of the whole database, of a step whose parts are finished; else nothing."""
    found = [tallies_of(part, store) for part in step.parts]
    if not found:
        return {}
    return {
        comparison: merge_tallies(part[comparison] for part in found)
        for comparison in step.comparisons
    }
