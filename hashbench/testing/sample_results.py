"""Results made by hand for formats to write: every kind of cell, and names that strangers chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from hashbench.data.protocol import Protocol
from hashbench.plugins.card import Access, Aim
from hashbench.results.asked import Asked
from hashbench.results.cell import CLEAN, AttackFacts, Cell, CellResult, Status
from hashbench.results.metrics import Metric, toward_targets, under
from hashbench.results.provenance import Conflict, Measurement, Provenance
from hashbench.results.results import Results
from hashbench.retrieval import Ties
from hashbench.testing.sample_gallery import reader_of, sample_gallery

TRAINING: Final = "7" * 64
EPS: Final = "8/255"
QUERIES: Final = 6

ESCAPE: Final = "\x1b[31m"
"""What colours a terminal, in a reason that a stranger's code gave."""

SCRIPT: Final = "<script>alert(1)</script>"
"""What a page would run."""

FOREIGN: Final = f'{ESCAPE}café | 図 & `x` {SCRIPT} \u202etxt\u202c, "quoted";\n=1+1'
"""A reason of many kinds of characters: a control sequence, a table's bar, a page's tags, what
turns the direction of writing, a line break, a formula."""


@dataclass(frozen=True)
class Setting:
    """Whose cells they are."""

    dataset: str = "fashion"
    loss: str = "csq"
    backbone: str = "small-cnn"
    bits: int = 32
    seed: int = 0
    top_k: int | None = None
    cells: list[CellResult] = field(default_factory=list)

    @property
    def protocol(self) -> Protocol:
        """Of the data set."""
        return Protocol(self.dataset, 40, QUERIES, 60, 4, "5" * 64, self.top_k)

    def cell(self, defense: str, attack: str) -> Cell:
        """Of a defense and an attack."""
        return Cell(
            dataset=self.dataset,
            loss=self.loss,
            backbone=self.backbone,
            bits=self.bits,
            defense=defense,
            attack=attack,
            eps="0" if attack == CLEAN else EPS,
            seed=self.seed,
            protocol=self.protocol.hash,
            training=TRAINING,
        )

    def done(self, defense: str, attack: str, value: float, aim: Aim = Aim.UNTARGETED) -> Setting:
        """Add a cell that came to a result."""
        name = self.protocol.metric
        metrics: dict[str, float] = {
            name: value,
            under(name, Ties.WORST): value - 0.02,
            under(name, Ties.BEST): value + 0.02,
            Metric.SATURATED: 0.01,
            Metric.DISTINCT_CODES: 31.0,
        }
        if attack == CLEAN:
            metrics |= _of_clean(name, value)
        else:
            metrics |= {
                Metric.ZERO_GRADIENTS: 0.0,
                Metric.FORWARDS: 21.0,
                Metric.BACKWARDS: 20.0,
                Metric.LINF: 8 / 255,
                Metric.L2: 0.4,
            }
        if aim is Aim.TARGETED:
            metrics |= {toward_targets(name): 0.6, Metric.QUERIES_WITHOUT_TARGET: 0.0}
        facts = None if attack == CLEAN else _facts(attack, aim)
        result = CellResult(
            self.cell(defense, attack),
            Status.DONE,
            metrics=metrics,
            recall=(0.5, 1.0),
            precision=(min(1.0, value + 0.1), value),
            per_query=np.full(QUERIES, value),
            attack=facts,
            seconds=None if attack == CLEAN else 0.01,
        )
        self.cells.append(result)
        return self

    def lost(
        self, defense: str, attack: str, reason: str, status: Status = Status.FAILED
    ) -> Setting:
        """Add a cell without a result."""
        facts = None if attack == CLEAN else _facts(attack, Aim.UNTARGETED)
        self.cells.append(CellResult(self.cell(defense, attack), status, reason, attack=facts))
        return self


def _of_clean(name: str, value: float) -> dict[str, float]:
    return {
        toward_targets(name): 0.1,
        Metric.CHANCE: 0.25,
        Metric.FLOOR: 0.1,
        Metric.CEILING: 1.0,
        Metric.BIT_BALANCE: 0.8,
        Metric.BIT_ENTROPY: 0.9,
        Metric.TIED: 0.5,
        Metric.PROBE_UNSTABLE: 0.0,
        Metric.PROBE_MOVED: 0.0,
        Metric.PROBE_CLEAN: value,
        Metric.PROBE_UNBOUNDED: 0.11,
        Metric.PROBE_FLOOR: 0.1,
    }


def _facts(attack: str, aim: Aim) -> AttackFacts:
    access = Access.NONE if attack == "noise" else Access.GRADIENT
    return AttackFacts(attack.partition(":")[0], aim, access, parameters={"steps": 20})


def gathered(settings: Sequence[Setting], labels: tuple[str, ...] = ("cat", "dog")) -> Results:
    """Their cells as a report is given them, sorted; the attacked ones have galleries.

    Args:
        settings: whose cells.
        labels: what the galleries' classes are called.
    """
    cells = tuple(sorted((one for each in settings for one in each.cells), key=lambda r: r.cell))
    training: dict[str, Any] = {
        "base": {"batch": 32, "epochs": 45, "learning_rate": 0.05, "optimizer": "sgd"},
        "budget": {"epochs": 12, "eps": EPS, "inner_steps": 7},
        "compute": {"attack_batch": 500, "device": "cpu", "threads": 1},
    }
    return Results(
        cells=cells,
        protocols={each.protocol.hash: each.protocol for each in settings},
        trainings={TRAINING: training} if cells else {},
        asked=(Asked("results", "quick", frozenset(one.cell for one in cells)),) if cells else (),
        gallery=reader_of(
            [one.cell for one in cells if one.status is Status.DONE and one.cell.attack != CLEAN],
            sample_gallery(labels),
        ),
    )


def merged(results: Results, folder: str, trouble: str) -> Results:
    """The same from two folders that say different things of one cell, and another is unreadable.

    Args:
        results: of the first folder, some attacked cell of which is done.
        folder: how the second one is called.
        trouble: what is told of the one that cannot be read.
    """
    first = next(
        one
        for one in results.cells
        if one.status is Status.DONE and one.cell.attack != CLEAN and not one.targeted
    )
    metric = results.metric(first.cell)
    measured = tuple(
        Measurement(
            {**first.metrics, metric: first.metrics[metric] + change},
            Provenance(place, digit * 64, {"hashbench": "0.1.0"}, {"attack": "5" * 64}, made),
        )
        for place, digit, change, made in (
            ("results", "1", 0.0, "2026-01-02T03:04:05+00:00"),
            (folder, "2", 0.05, ""),
        )
    )
    return replace(
        results, conflicts=(Conflict(first.cell, metric, measured),), troubles=(trouble,)
    )


def ordinary() -> Results:
    """Two models, clean and under two attacks, all done."""
    return gathered([_models(Setting())])


def _models(setting: Setting) -> Setting:
    for defense, clean, value in (("none", 0.9, 0.1), ("cgat:weight=2", 0.8, 0.5)):
        setting.done(defense, CLEAN, clean)
        setting.done(defense, "noise", clean - 0.01).done(defense, "hag", value)
    return setting


def empty() -> Results:
    """No cell at all: of a part that nothing is in."""
    return gathered([])


def with_losses() -> Results:
    """Cells that failed or were not run: of a model nothing, of another one attack."""
    setting = _models(Setting())
    setting.lost("atrdh", CLEAN, "the training loss became nan in step 3 of 40")
    setting.lost("atrdh", "hag", "", Status.MISSING)
    setting.lost("none", "pgd-hamming", "ZeroDivisionError: division by zero (my_attack.py:9)")
    return gathered([setting])


def only_losses() -> Results:
    """Nothing but failures."""
    return gathered(
        [Setting().lost("none", CLEAN, "MemoryError").lost("none", "hag", "MemoryError")]
    )


def several_groups() -> Results:
    """Data sets, losses, backbones, code lengths and seeds, of folders that do not fit together."""
    base = Setting()
    settings = [
        _models(base),
        _models(replace(base, seed=1, cells=[])),
        _models(replace(base, bits=16, loss="dph", cells=[])),
        _models(
            replace(base, dataset="flickr25k:crop=32", top_k=50, backbone="resnet18", cells=[])
        ),
    ]
    settings[0].done("none", "dhta", 0.4, Aim.TARGETED)
    trouble = "more/plans/5f.json: it is no JSON; run the suite again to mend it"
    return merged(gathered(settings), "more", trouble)


def foreign() -> Results:
    """Reasons, names, labels, folders and troubles that strangers wrote."""
    setting = _models(Setting(dataset=f"lists:root={SCRIPT}|é"))
    setting.lost("none", f"mine:word={SCRIPT}", FOREIGN)
    return merged(gathered([setting], (SCRIPT, FOREIGN)), FOREIGN, FOREIGN)
