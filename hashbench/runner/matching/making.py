"""Makes the artifacts of a run of matches: codes, counts, proofs, attacked files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashbench.certifying import linf_radius
from hashbench.eps import Eps
from hashbench.matching.changes import CHANGES
from hashbench.matching.contract import Hasher
from hashbench.matching.innocent import count_innocent
from hashbench.matching.pictures import Picture
from hashbench.matching.proofs.radius import proven_eps
from hashbench.matching.proofs.smoothed import matching_radius, smoothed_codes
from hashbench.matching.verdicts import verdict_of
from hashbench.progress import Progress, no_progress
from hashbench.results.artifacts import BOUNDS, CODES, PER_QUERY, SCORES
from hashbench.results.made_by import made_by
from hashbench.results.matches.innocent import innocent_metrics
from hashbench.results.matches.kept import USUAL, kept_files
from hashbench.results.matches.load import scores_file
from hashbench.results.matches.metrics import (
    ABSTAINED,
    ATTACKED,
    ATTEMPTS,
    COLLISION,
    DISTANCE,
    EVASION,
    PROVEN,
    QUERIES,
    SMOOTHED_DISTANCE,
    SMOOTHED_EPS,
    SMOOTHED_L2,
    STORED,
    TRAFFIC,
)
from hashbench.results.matches.results import KeptPicture, Threat
from hashbench.results.store import Store
from hashbench.runner.determinism import environment
from hashbench.runner.loading import npz
from hashbench.runner.matching.company import (
    PICTURES,
    STRANGERS,
    Company,
    arrays_of,
    bound_of,
    groups_of,
    proof_of,
)
from hashbench.runner.matching.pictures import pictures_of, set_of
from hashbench.runner.matching.steps import (
    AllFiles,
    AttackedPictures,
    Bounds,
    CleanCodes,
    Innocent,
    LeastRadii,
    ProvenRadii,
    SmoothedRadii,
)
from hashbench.seeds import seed_of


def clean_codes(step: CleanCodes, _store: Store, progress: Progress) -> Mapping[str, bytes]:
    """The codes of all pictures, bool (N, K), and of all strangers of another set."""
    setting = step.of
    found = {PICTURES: _codes(setting.hasher, pictures_of(setting.pictures), progress)}
    if setting.strangers is not None:
        found[STRANGERS] = _codes(setting.hasher, pictures_of(setting.strangers), no_progress)
    return {CODES: npz(found)}


def innocent(step: Innocent, store: Store, progress: Progress) -> Mapping[str, bytes]:
    """What the threshold costs those who change a picture, and those who have another one."""
    setting = step.of
    found = set_of(setting.pictures)
    codes = arrays_of(store, step.codes, CODES)[PICTURES]
    changed: dict[str, NDArray[np.bool_]] = {
        change.text: np.empty_like(codes) for change in CHANGES
    }
    for row, picture in enumerate(found.pictures):
        for change in CHANGES:
            file = change.apply(picture.saved, picture.name, setting.seed)
            changed[change.text][row] = verdict_of(setting.hasher, file)
        progress(row + 1, len(codes))
    metrics = innocent_metrics(
        count_innocent(codes, changed, groups_of(found), threads=setting.compute.threads),
        setting.hasher.threshold,
        traffic=step.traffic,
        stored=step.stored,
    )
    metrics |= {TRAFFIC: float(step.traffic), STORED: float(step.stored)}
    return {SCORES: scores_file(metrics)}


def proven_radii(step: ProvenRadii, _store: Store, progress: Progress) -> Mapping[str, bytes]:
    """The largest radius of each picture at which no file can be beyond the threshold."""
    hasher, pictures = step.of.hasher, pictures_of(step.of.pictures)
    proven = np.empty(len(pictures))
    for row, picture in enumerate(pictures):
        proof = proof_of(hasher, picture)
        proven[row] = float(proven_eps(picture, proof, hasher.threshold))
        progress(row + 1, len(pictures))
    return {
        SCORES: scores_file(spread(PROVEN, proven)),
        PER_QUERY: npz({"eps": proven}),
    }


def smoothed_radii(step: SmoothedRadii, store: Store, progress: Progress) -> Mapping[str, bytes]:
    """The l2 distance inside which the smoothed code of each picture still matches."""
    setting = step.of
    pictures = pictures_of(setting.pictures)
    plain = np.where(arrays_of(store, step.codes, CODES)[PICTURES], 1, -1)
    radius, eps = np.empty(len(pictures)), np.empty(len(pictures))
    distance, abstained = np.empty(len(pictures)), np.empty(len(pictures))
    for row, picture in enumerate(pictures):
        seed = seed_of("smoothing", picture.name, setting.seed)
        bits = smoothed_codes(setting.hasher, [picture], step.smoothing, [seed])
        within = matching_radius(bits, setting.hasher.threshold)
        radius[row], eps[row] = within[0], linf_radius(within, bits.values)[0]
        distance[row] = (bits.codes[0] != plain[row]).sum()
        abstained[row] = bits.abstentions
        progress(row + 1, len(pictures))
    metrics = {
        **spread(SMOOTHED_L2, radius),
        **spread(SMOOTHED_EPS, eps),
        SMOOTHED_DISTANCE: _mean(distance),
        ABSTAINED: _mean(abstained),
    }
    arrays = {"radius": radius, "eps": eps, "distance": distance, "abstained": abstained}
    return {SCORES: scores_file(metrics), PER_QUERY: npz(arrays)}


def bounds(step: Bounds, _store: Store, progress: Progress) -> Mapping[str, bytes]:
    """How many bits any file of each picture's box can turn at most, at one radius."""
    pictures = pictures_of(step.of.pictures)
    eps = Eps.parse(step.eps).fraction
    most = np.empty(len(pictures), dtype=np.int64)
    for row, picture in enumerate(pictures):
        most[row] = bound_of(step.of.hasher, picture, eps)
        progress(row + 1, len(pictures))
    return {BOUNDS: npz({"most": most})}


def attacked_pictures(
    step: AttackedPictures, store: Store, progress: Progress
) -> Mapping[str, bytes]:
    """What becomes of every picture at one radius, on the file that is read again."""
    company = Company(step, store)
    trials = company.at(Eps.parse(step.eps).fraction, progress)
    rows = np.array(sorted(trials), dtype=np.int64)
    each = [trials[row] for row in rows]
    won = np.array([one.won for one in each], dtype=np.bool_)
    distance = np.array([one.distance for one in each], dtype=np.int64)
    arrays: dict[str, NDArray[Any]] = {"row": rows, "won": won, "distance": distance}
    arrays["turned"] = company.turned(trials)
    if step.bounds is not None:
        arrays["bound"] = arrays_of(store, step.bounds, BOUNDS)["most"][rows]
    metrics = {ATTEMPTS: float(len(rows))}
    if len(rows):  # of no picture there is no share
        metrics[COLLISION if step.goal is Threat.COLLISION else EVASION] = _mean(won)
        metrics[DISTANCE] = _mean(distance)
    if step.black_box:
        queries = np.array([one.queries or 0 for one in each], dtype=np.int64)
        arrays["queries"] = queries
        metrics |= spread(QUERIES, queries[won])
    return _files(step, store, metrics, arrays, company.kept(trials))


def least_radii_of(step: LeastRadii, store: Store, progress: Progress) -> Mapping[str, bytes]:
    """The least radius of every picture at which the attack was seen to succeed."""
    company = Company(step, store)
    found = company.least(progress, _won_at(step, store))
    won = {row: one.trial for row, one in found.items() if one.trial is not None}
    rows = np.array(sorted(found), dtype=np.int64)
    eps = np.array([found[row].value for row in rows], dtype=np.float64)
    arrays: dict[str, NDArray[Any]] = {"row": rows, "eps": eps}
    if step.proven:
        turned = dict(zip(sorted(won), company.turned(won), strict=True))
        most = {
            row: bound_of(step.of.hasher, company.pictures[row], found[row].eps or Fraction(0))
            for row in won
        }
        arrays["turned"] = np.array([turned.get(row, 0) for row in rows], dtype=np.int64)
        arrays["bound"] = np.array([most.get(row, 0) for row in rows], dtype=np.int64)
    metrics = {ATTEMPTS: float(len(rows)), **spread(ATTACKED, eps)}
    return _files(step, store, metrics, arrays, company.kept(won))


def all_files(step: AllFiles, store: Store, progress: Progress) -> Mapping[str, bytes]:
    """Every file that succeeds, made once more."""
    company = Company(step.attacked, store)
    if isinstance(step.attacked, LeastRadii):
        least = company.least(progress, _won_at(step.attacked, store))
        trials = {row: one.trial for row, one in least.items() if one.trial is not None}
    else:
        trials = company.at(Eps.parse(step.attacked.eps).fraction, progress)
    return kept_files(company.kept(trials))


def _won_at(step: LeastRadii, store: Store) -> dict[Fraction, dict[int, bool]]:
    """What other cells know of this attack: at some radii, which pictures were won."""
    found = {}
    for one in step.known:
        arrays = arrays_of(store, one, PER_QUERY)
        won = zip(arrays["row"].tolist(), arrays["won"].tolist(), strict=True)
        found[Eps.parse(one.eps).fraction] = dict(won)
    return found


def spread(names: Sequence[str], values: NDArray[Any]) -> dict[str, float]:
    """Mean, quartiles and median of some values, by the four names; nothing of no value.

    A quartile of n values is the smallest of them that a quarter of all do not exceed: it is one of
    the values, so an infinite one among others does no harm to it.
    """
    if not len(values):
        return {}
    ordered = np.sort(values.astype(np.float64))
    quarters = [ordered[-(-len(ordered) * part // 4) - 1] for part in (1, 2, 3)]
    return dict(zip(names, (_mean(values), *map(float, quarters)), strict=True))


def _mean(values: NDArray[Any]) -> float:
    """Summed exactly: another numpy would add in another order."""
    return math.fsum(values.tolist()) / len(values) if len(values) else 0.0


def _codes(hasher: Hasher, pictures: Sequence[Picture], progress: Progress) -> NDArray[np.bool_]:
    codes = np.empty((len(pictures), hasher.bits), dtype=np.bool_)
    for row, picture in enumerate(pictures):
        codes[row] = verdict_of(hasher, picture.saved)
        progress(row + 1, len(pictures))
    return codes


def _files(
    step: AttackedPictures,
    store: Store,
    metrics: Mapping[str, float],
    arrays: Mapping[str, NDArray[Any]],
    kept: Iterable[KeptPicture],
) -> dict[str, bytes]:
    """The files of a cell; where all pictures are to be kept, they are written beside it first."""
    if not step.keep:
        pictures = list(islice(kept, USUAL))
    else:
        pictures = list(kept)
        address = AllFiles(step).address
        about = {"label": AllFiles(step).label, "environment": {**environment(), **made_by()}}
        store.write(address, kept_files(pictures), about)
    return {
        SCORES: scores_file(metrics),
        PER_QUERY: npz(arrays),
        **kept_files(pictures[:USUAL]),
    }
