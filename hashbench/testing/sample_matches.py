"""Matches made by hand for formats to write: every threat, and names that strangers chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.results.cell import Status
from hashbench.results.matches import metrics
from hashbench.results.matches.results import (
    CLEAN_EPS,
    LEAST,
    NO_ATTACK,
    KeptPicture,
    MatchCell,
    MatchResult,
    MatchResults,
    PictureSetCard,
    Threat,
)
from hashbench.results.pictures import png
from hashbench.testing.sample_results import FOREIGN, SCRIPT

PICTURES: Final = "9" * 64
COUNT: Final = 20
RADII: Final = ("1/255", "2/255", "4/255", "8/255")
CHANGES: Final = ("blur:sigma=1", "crop:percent=5", "flip", "jpeg:quality=10", "jpeg:quality=95")
HASHES: Final[Mapping[str, tuple[int, int]]] = {"dhash": (64, 10), "pdq": (256, 31)}
"""Bits and threshold by hash."""

ODD_NAMES: Final = (
    SCRIPT,
    "a&b_c%d#e$f{g}~h^i\\j",
    "x|y`z*w[v](u)",
    "\u202eqdp",
    "=1+1",
    "long-" * 40,
)
"""Names that steer a page, a table of LaTeX or Markdown, a line, a spreadsheet; and a long one."""

CARD: Final = PictureSetCard(
    "photographs", COUNT, "256x256", ("1 of 21 files could not be decoded and is left out.",)
)


def ordinary() -> MatchResults:
    """Two hashes, one of them proven, under three attacks."""
    return _gathered(_cells(HASHES), _kept(("park.png", "street/cat.png")))


def several_sets() -> MatchResults:
    """Two sets of pictures, two seeds, and a hash with another threshold."""
    own = _cells({**HASHES, "pdq:threshold=20": (256, 20)})
    others = tuple(
        replace(one, cell=replace(one.cell, pictures="8" * 64, seed=1)) for one in own[:9]
    )
    whole = _gathered((*own, *others))
    more = PictureSetCard("photographs", 7, "own")
    return replace(whole, sets={**whole.sets, "8" * 64: more})


def with_losses() -> MatchResults:
    """Cells that failed or were not run, a trouble and a violation."""
    cells = [
        lost(one, Status.FAILED, "the library raised ValueError")
        if one.cell.eps == "4/255"
        else lost(one, Status.MISSING, "")
        if one.threat is Threat.PROOF
        else one
        for one in _cells(HASHES)
    ]
    return replace(
        _gathered(cells),
        troubles=("matches/3.json: half of it is missing: run the same command again",),
        violations=("pdq, evade: 'park.png' evades at 0.4/255, proven up to 0.5/255",),
    )


def only_losses() -> MatchResults:
    """Nothing came to a result."""
    return _gathered([lost(one, Status.FAILED, "no room") for one in _cells(HASHES)])


def foreign() -> MatchResults:
    """Names of hashes, attacks, pictures and changes that strangers chose, and their reasons."""
    cells: list[MatchResult] = []
    for name in ODD_NAMES:
        cells += _cells({name: (64, 10)}, attack=name, changes=(*CHANGES, name))
    cells += [lost(one, Status.FAILED, FOREIGN) for one in _cells({f"failed {SCRIPT}": (64, 10)})]
    card = replace(CARD, name=f"{SCRIPT} & 50 % \u202e", notes=(FOREIGN,))
    return replace(
        _gathered(cells, _kept(ODD_NAMES)),
        sets={PICTURES: card},
        troubles=(FOREIGN,),
        violations=(FOREIGN,),
        commands=(f"hashbench match --hash '{ODD_NAMES[0]}'",),
    )


def empty() -> MatchResults:
    """No cell."""
    return MatchResults((), {})


def lost(result: MatchResult, status: Status, reason: str) -> MatchResult:
    """The same cell without a result."""
    return replace(result, status=status, reason=reason, metrics={}, per_picture={})


def summary(eps: NDArray[np.float64], names: Sequence[str]) -> dict[str, float]:
    """Mean and quartiles of radii by metric, each an entry of them or infinite."""
    ends = [np.quantile(eps, share, method="higher") for share in (0.25, 0.5, 0.75)]
    return dict(zip(names, (float(np.mean(eps)), *map(float, ends)), strict=True))


def _gathered(cells: Sequence[MatchResult], gallery: Any = None) -> MatchResults:
    whole = MatchResults(
        cells=tuple(sorted(cells, key=lambda one: one.cell)),
        sets={PICTURES: CARD},
        commands=("hashbench match --hash dhash --hash pdq --images photographs",),
    )
    return whole if gallery is None else replace(whole, gallery=gallery)


def _cells(
    hashes: Mapping[str, tuple[int, int]],
    attack: str = "evade",
    changes: Sequence[str] = CHANGES,
) -> list[MatchResult]:
    """Attacks with and without gradients, collisions; of every hash but dhash, both proofs."""
    cells = []
    for name, (bits, threshold) in hashes.items():
        proven, found = _radii(name)

        def made(
            threat: Threat,
            by: str,
            eps: str,
            values: Mapping[str, float],
            arrays: Mapping[str, NDArray[Any]] | None = None,
            queries: int = 0,
            *,
            of: tuple[str, int, int] = (name, bits, threshold),
        ) -> MatchResult:
            return MatchResult(
                MatchCell(of[0], by, eps, PICTURES, 0),
                threat,
                of[1],
                of[2],
                black_box=queries > 0,
                queries=queries,
                metrics=values,
                per_picture=arrays or {},
            )

        cells.append(made(Threat.INNOCENT, NO_ATTACK, CLEAN_EPS, _innocent(name, changes)))
        if name != "dhash":
            values = summary(proven, metrics.PROVEN)
            cells.append(made(Threat.PROOF, NO_ATTACK, LEAST, values, {"eps": proven}))
            noise = "smoothing:sigma=0.1,draws=1000"
            cells.append(made(Threat.SMOOTHED, noise, LEAST, _smoothed(proven), {"eps": proven}))
        boxed = "distances" if attack == "evade" else f"distances {attack}"
        collide = "collide" if attack == "evade" else f"collide {attack}"
        for by, threat, factor, queries in (
            (attack, Threat.EVASION, 1.0, 0),
            (boxed, Threat.EVASION, 3.0, 2000),
            (collide, Threat.COLLISION, 6.0, 0),
        ):
            radii = factor * found
            radii[radii > 8 / 255] = np.inf
            asked = dict.fromkeys(metrics.QUERIES, 1234.5) if queries else {}
            metric = metrics.EVASION if threat is Threat.EVASION else metrics.COLLISION
            search = summary(radii, metrics.ATTACKED) | asked
            cells.append(made(threat, by, LEAST, search, {"eps": radii}, queries))
            for eps in RADII:
                won = radii <= int(eps.partition("/")[0]) / 255
                values = {metric: float(won.mean()), metrics.DISTANCE: 30.5} | asked
                cells.append(made(threat, by, eps, values, {"won": won}, queries))
    return cells


def _radii(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each picture what is proven, and where an attack succeeds: never below."""
    place = sum(map(ord, name)) % 5
    attacked = (0.3 + 0.1 * place + np.linspace(0, 3, COUNT) ** 1.2) / 255
    return 0.55 * attacked, attacked


def _smoothed(eps: NDArray[np.float64]) -> dict[str, float]:
    """What is proven of the smoothed hash, at radii of L-infinity."""
    return {
        **summary(eps * np.sqrt(3 * 256 * 256), metrics.SMOOTHED_L2),
        **summary(eps, metrics.SMOOTHED_EPS),
        metrics.SMOOTHED_DISTANCE: 1.25,
        metrics.ABSTAINED: 0.019,
    }


def _innocent(name: str, changes: Sequence[str]) -> dict[str, float]:
    down = 0.01 * (sum(map(ord, name)) % 7)
    values = {
        metrics.PICTURES: float(COUNT),
        metrics.TPR: 0.91 - down,
        metrics.FPR: 2.5e-5,
        **{
            metric: 0.9 - down - 0.05 * place
            for place, metric in enumerate((*metrics.TPR_AT_FPR, *metrics.RECALL_AT_PRECISION))
        },
        metrics.EER: 0.031,
        metrics.MICRO_AP: 0.9421,
        metrics.PAIRS_SAME: float(COUNT * len(changes)),
        metrics.PAIRS_OTHER: float(COUNT * (COUNT - 1)),
        metrics.FALSE_FLAGS: 1234.5,
    }
    for place, change in enumerate(changes):
        values[metrics.of_change(change)] = max(0.0, 0.99 - down - 0.2 * place)
    return values


def _kept(names: Sequence[str]) -> Any:
    def gallery(cell: MatchCell) -> tuple[KeptPicture, ...]:
        if cell.attack == NO_ATTACK or cell.eps not in ("4/255", "8/255"):
            return ()
        collides = cell.attack.startswith("collide")
        return tuple(
            KeptPicture(
                name,
                _picture(place, 0),
                _picture(place, 4),
                distance=9 if collides else 41,
                stranger=_picture(place + 7, 0) if collides else b"",
                stranger_name=f"other/{name}" if collides else "",
            )
            for place, name in enumerate(names)
        )

    return gallery


@cache
def _picture(place: int, moved: int) -> bytes:
    """A small picture in colours; every second pixel is moved by so many steps."""
    down, across = np.mgrid[0:32, 0:32]
    values = np.stack([40 + 3 * down + 5 * place, 40 + 3 * across, 60 + down + across])
    sign = np.where((down + across) % 2, 1, -1)
    return png(np.clip(values + moved * sign, 0, 255).astype(np.uint8))
