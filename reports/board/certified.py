"""What is proven of a row: its certificates, read out of their cells, and the ranks by proof. Pure.

The true robust mAP of a model lies between what is proven and what the worst case leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hashbench.reports.board.findings import printed
from hashbench.reports.board.over_seeds import Entry, Gap, collect
from hashbench.results.cell import CellResult, Status
from hashbench.results.flags import least_useful
from hashbench.results.metrics import Metric, certified, under
from hashbench.retrieval import Ties

NOTHING_PROVEN: Final = "no certificate"
"""Stands where bounds were asked for, and prove nothing."""


@dataclass(frozen=True)
class Certified:
    """What is proven of a model at one radius.

    Attributes:
        proven: mAP that no attack inside the radius can undo, ties in their worst order.
        mean_order: the same for the mean over the orders of ties, which attacked and clean mAP are;
            without values where it was not kept.
        bits, codes: shares of the queries' bits that are proven, and of the queries all of whose
            bits are.
        exact: share of the queries for which some completion of their bits has just the proven AP.
        seconds: that the proof took per query, on the machine that made it.
        recall: share of the queries whose first item stays relevant, where it is known.
        reason: why nothing is proven, of the first seed without; empty where all seeds have theirs.
        worthless: whether the proven mAP is below what counts as retrieving anything.
        rank: by proof, 1 is the most that is proven; `None` where it has none.
    """

    proven: Entry
    mean_order: Entry
    bits: Entry
    codes: Entry
    exact: Entry
    seconds: Entry
    recall: Entry
    reason: str = ""
    worthless: bool = False
    rank: int | None = None

    @property
    def least(self) -> Entry:
        """The lower end of what is true, beside mAP that are means over the orders of ties."""
        return self.mean_order if self.mean_order.values else self.proven

    @property
    def words(self) -> str:
        """What stands in the place of a number where there is none: `no certificate`, `failed`."""
        statuses = {gap.status for gap in self.proven.gaps}
        return next(
            (status.words for status in (Status.FAILED, Status.MISSING) if status in statuses),
            NOTHING_PROVEN,
        )


def certified_of(
    cells: Sequence[CellResult], seeds: Sequence[int], metric: str, chance: float | None
) -> Certified | None:
    """What is proven of one row; `None` where nobody asked.

    Args:
        cells: the certificates of one defense at one radius.
        seeds: of the row.
        metric: the canonical name of mAP.
        chance: of a random order, in `[0, 1]`.
    """
    if not cells:
        return None
    by_seed: dict[int, CellResult] = {}
    for result in cells:
        by_seed.setdefault(result.cell.seed, result)

    def entry(read: Callable[[CellResult], float | None]) -> Entry:
        return collect({seed: _value(seed, by_seed.get(seed), read) for seed in seeds})

    def share(name: str) -> Entry:
        return entry(lambda result: result.metrics.get(name))

    proven = share(certified(metric))
    mean = proven.mean
    return Certified(
        proven=proven,
        mean_order=share(under(certified(metric), Ties.EXPECTED)),
        bits=share(Metric.CERTIFIED_BITS),
        codes=share(Metric.CERTIFIED_CODES),
        exact=share(Metric.CERTIFIED_EXACT),
        seconds=entry(lambda result: result.seconds),
        recall=share(Metric.CERTIFIED_RECALL),
        reason=next((gap.reason for gap in proven.gaps), ""),
        worthless=mean is not None and chance is not None and mean < least_useful(chance),
    )


def _value(
    seed: int, result: CellResult | None, read: Callable[[CellResult], float | None]
) -> float | Gap:
    if result is None:
        return Gap(seed, Status.MISSING, "its certificate was not asked for")
    if result.status is not Status.DONE:
        return Gap(seed, result.status, " ".join(result.reason.split()))
    value = read(result)
    return Gap(seed, Status.DONE, " ".join(result.reason.split())) if value is None else value


def ranks_by_proof(found: Mapping[str, Certified]) -> dict[str, Certified]:
    """The same with ranks by what is proven, as printed: what reads alike shares one, as 1, 1, 3.

    What flags say of attacks says nothing of a proof, so a flagged row may have a rank here; one
    that an attack went below may not.

    Args:
        found: by defense, those that may have a rank.
    """
    values = {
        name: printed(one.proven.mean)
        for name, one in found.items()
        if one.proven.complete and one.proven.mean is not None and not one.worthless
    }
    return {
        name: replace(one, rank=1 + sum(other > values[name] for other in values.values()))
        if name in values
        else one
        for name, one in found.items()
    }
