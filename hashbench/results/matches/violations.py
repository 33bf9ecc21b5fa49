"""Attacks that succeed where it is proven that none can: a fault of one of the two. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from hashbench.characters import counted
from hashbench.results.cell import Status
from hashbench.results.matches.results import LEAST, MatchResult, Threat


def violations(cells: Iterable[MatchResult]) -> tuple[str, ...]:
    """One sentence for each cell of an attack that contradicts a proof.

    An evasion contradicts it where it succeeds at a radius that is not above the proven one. A file
    of any attack contradicts it where more bits are turned than the bound says that any file of its
    box can turn (`turned` above `bound`).
    """
    done = [one for one in cells if one.status is Status.DONE]
    proofs = {
        (one.cell.hash, one.cell.pictures, one.cell.seed): one
        for one in done
        if one.threat is Threat.PROOF
    }
    return tuple(_found(done, proofs))


def compared(cells: Iterable[MatchResult]) -> int:
    """How many files were compared with what is proven of their hash and box."""
    return sum(
        int(np.isfinite(one.per_picture["eps"]).sum())  # others have no file
        if one.cell.eps == LEAST
        else len(one.per_picture["turned"])
        for one in cells
        if one.status is Status.DONE and {"turned", "bound"} <= one.per_picture.keys()
    )


def _found(
    done: Iterable[MatchResult], proofs: dict[tuple[str, str, int], MatchResult]
) -> Iterator[str]:
    for one in done:
        if not one.threat.is_attack:
            continue
        cell, arrays = one.cell, one.per_picture
        where = f"{cell.hash}, {cell.attack}, eps {cell.eps}"
        if "turned" in arrays and "bound" in arrays:
            more = int((arrays["turned"] > arrays["bound"]).sum())
            if more:
                yield (
                    f"{where}: {counted(more, 'file turns', 'files turn')} more bits than is "
                    "proven that any can; the proof or the attack is wrong"
                )
        proof = proofs.get((cell.hash, cell.pictures, cell.seed))
        if proof is None or one.threat is not Threat.EVASION:
            continue
        proven = proof.per_picture["eps"]
        if cell.eps == LEAST:
            below = arrays["eps"] <= proven
        elif (radius := cell.radius) is not None:
            below = arrays["won"] & (np.float64(float(radius)) <= proven)
        else:
            continue
        if below.any():
            many = counted(int(below.sum()), "picture evades", "pictures evade")
            yield (
                f"{where}: {many} within the radius that is proven to hold; the proof or the "
                "attack is wrong"
            )
