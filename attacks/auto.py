"""The worst case that an attacker finds: the answer to 'how robust is it really'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.attacking import (
    AnnealedDescent,
    AttackedModel,
    Goal,
    KnownRanking,
    QueryRandom,
    SmoothPrecision,
    Threat,
    WorstCase,
    drawn_inside,
    logit_scale,
    square_search,
)
from hashbench.hashing import relevant
from hashbench.plugins import Attack, Draws, Norm, attack
from hashbench.retrieval import center_codes


@dataclass(frozen=True)
class Run:
    """Descents one after the other, each from where the last one ended.

    Attributes:
        stages: descents on the smooth average precision; the first of them on the distance to a
            wrong code instead, where the run has one.
        target: which of the query's wrong codes, counted from the nearest; `None` for none.
        looks: how often the codes of a stage's end are asked for, draws and all; 0 where the end is
            no candidate.
    """

    stages: tuple[AnnealedDescent, ...]
    target: int | None = None
    looks: int = 1

    @property
    def passes(self) -> int:
        """Forward passes per query: a step each, and the looks at the end of each stage."""
        return sum(stage.steps + self.looks for stage in self.stages)


def _stage(
    steps: int, alpha_start: float, alpha_end: float, first_step: float, momentum: float = 0.5
) -> AnnealedDescent:
    return AnnealedDescent(steps, alpha_start, alpha_end, first_step, momentum)


# Chosen by measurement. Outputs that stay smooth win where a query can be led far (no defense), and
# sharp ones where few bits can be turned; a start near a wrong code finds other minima than noise.
WIDTH: Final = 3.0
RUNS: Final = (
    Run((_stage(130, 0.5, 64.0, 1.0),)),
    Run((_stage(25, 0.5, 4.0, 1.0), _stage(50, 1.0, 64.0, 0.5)), target=0),
    Run((_stage(55, 0.5, 4.0, 1.0), _stage(25, 2.0, 64.0, 0.25))),
)
DRAWN_RUNS: Final = (
    Run((_stage(1, 0.5, 64.0, 1.0, 0.95),), looks=0),
    Run((_stage(288, 0.5, 64.0, 1.0, 0.95),)),
)
"""At a model that draws: one step, which tells whether a gradient moves the query at all, and one
long descent, whose momentum averages over the draws of twenty steps. Its end is taken as it is.
Precision varies by so much from draw to draw that a choice among ends by what their draws show
would be luck, unless there were so many draws that a descent half as long had to pay for them."""
TARGETS: Final = 1 + max(run.target for run in RUNS if run.target is not None)
SEARCH_ALPHA: Final = 2.0
"""Of its score, which is smoother than the average precision itself, and so ties less."""


@attack("auto", draws=Draws.EXPECTED_LOSS, norms=(Norm.LINF, Norm.L2))
@dataclass(frozen=True)
class Auto(Attack):
    """Ensemble without parameters; each query's worst case, by what the attacker knows.

    Three runs of smooth-ap's descent: sharp at the end; from where a push to the nearest wrong
    label's center code ends; smooth for long, sharp at last. Of the clean image and the end of each
    stage, the one with the lowest average precision against the training codes is returned. A query
    that scores what the opposite of its center code scores is finished. One that the first run does
    not move at all, at a model that masks its gradients, is searched at random by squares instead
    (Square Attack; Andriushchenko et al., ECCV 2020). Center codes and scale are those of the
    attacked model; the scale of its logits plays no part (`AnnealedDescent`). AutoAttack is the
    model for this (Croce and Hein, ICML 2020).

    At a model that draws at random one long descent with more momentum takes their place, whose end
    is returned; the search by squares judges by the mean average precision over the draws.

    In an L2 ball the runs are those of smooth-ap in it, and no query is searched by squares, which
    are patches of corners of an L-infinity ball: one that no gradient moves keeps the better of its
    image and the point where the first run began.
    """

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        search = _Search(model, images, goal, threat)
        for run in search.runs:
            # Drawn for all queries, whoever is finished: a draw must not depend on the others.
            noise = drawn_inside(threat.norm, threat.radius, images.shape[1:], rng)
            search.descend(run, threat.project(images + noise, images))
        search.by_squares(rng)
        return search.worst.images

    @override
    def passes(self) -> int:
        """All runs to their ends, and a look at the clean image."""
        return 1 + max(sum(run.passes for run in runs) for runs in (RUNS, DRAWN_RUNS))

    @override
    def reach_of_steps(self, radius: float, images: int) -> float:
        """That of its longest run, whose stages go on from one another."""
        return max(sum(stage.reach(radius) for stage in run.stages) for run in (*RUNS, *DRAWN_RUNS))


class _Search:
    """What is known of a batch, and each query's worst case so far."""

    def __init__(self, model: AttackedModel, images: Tensor, goal: Goal, threat: Threat) -> None:
        self._model, self._images, self._threat = model, images, threat
        self.runs = RUNS if model.draws == 1 else DRAWN_RUNS
        with torch.no_grad():
            drawn = model.drawn_logits(images)
        logits = drawn.mean(dim=0)
        self._scale = logit_scale(logits)
        self._ranking = KnownRanking(goal.labels, goal.train_codes, goal.train_labels)
        clean, centers = _codes(logits), goal.center_codes
        away = -torch.where(centers == 0, clean, centers)
        self._targets = nearest_wrong_codes(
            (logits / self._scale).nan_to_num(0.0), goal, away, TARGETS
        )
        self.worst = WorstCase(self._ranking, images, away)
        if model.draws == 1:  # else some would be kept by luck alone, as any weak candidate would
            everyone = torch.arange(len(images), device=images.device)
            self.worst.consider(everyone, images, clean)
        self._stuck = torch.zeros(len(images), dtype=torch.bool, device=images.device)

    def descend(self, run: Run, start: Tensor) -> None:
        """Run from a point for each query of the batch that is neither finished nor stuck."""
        rows = self.worst.unfinished()
        rows = rows[~self._stuck[rows]]
        point = start[rows]
        for number, stage in enumerate(run.stages):
            if len(rows) == 0:
                return
            loss: _Pull | SmoothPrecision = SmoothPrecision(self._ranking.of(rows), WIDTH)
            if number == 0 and run.target is not None:
                loss = _Pull(self._targets[rows, run.target])
            found = self._descend(stage, loss, rows, point, run.looks)
            if run is self.runs[0]:
                self._stuck[rows] = (found == point).flatten(1).all(dim=1)
            going_on = torch.isin(rows, self.worst.unfinished())
            rows, point = rows[going_on], found[going_on]

    def by_squares(self, rng: QueryRandom) -> None:
        """Search at random for the queries that no gradient moved; nothing in L2.

        Candidates are looked at once each, as many as the other runs would have cost.
        """
        if self._threat.norm is Norm.L2:
            return
        rows = self.worst.unfinished()
        rows = rows[self._stuck[rows]]
        if len(rows) == 0 or self._threat.radius == 0:
            return
        precision = SmoothPrecision(self._ranking.of(rows), WIDTH)
        nothing = torch.full((len(self._images),), torch.inf, device=self._images.device)

        def score(point: Tensor) -> Tensor:
            with torch.no_grad():
                drawn = self._model.drawn_logits(point[rows])
            self.worst.consider(rows, point[rows], _codes(drawn))
            outputs = torch.tanh(SEARCH_ALPHA * (drawn / self._scale[rows]))
            found = nothing.clone()
            found[rows] = torch.stack([precision(one) for one in outputs]).mean(dim=0)
            return found

        square_search(
            score,
            self._images,
            self._threat,
            rng,
            clean_score=nothing,
            candidates=sum(run.passes for run in self.runs[1:]),
            first_share=0.8,
        )

    def _descend(
        self,
        stage: AnnealedDescent,
        loss: SmoothPrecision | _Pull,
        rows: Tensor,
        start: Tensor,
        looks: int,
    ) -> Tensor:
        """Descend for some queries; the end is a candidate, if it is looked at."""
        found = stage.run(
            loss,
            self._model,
            self._images[rows],
            self._threat,
            scale=self._scale[rows],
            start=start,
        )
        if looks > 0:
            codes = torch.cat([self._model.drawn_codes(found) for _ in range(looks)])
            self.worst.consider(rows, found, codes)
        return found


class _Pull:
    """The mean disagreement with a code each, (B, K): minimised, it pulls there."""

    def __init__(self, codes: Tensor) -> None:
        self._codes = codes

    def __call__(self, outputs: Tensor) -> Tensor:
        return -(outputs * self._codes).mean(dim=1)


def nearest_wrong_codes(logits: Tensor, goal: Goal, otherwise: Tensor, count: int) -> Tensor:
    """The center codes of other labels that are cheapest to reach, (B, count, K) of +1, -1 and 0.

    A label row of the training set is wrong for a query that shares no label with it. Its center
    code costs the sum of `|z_k|` over the bits that are to be turned.

    Args:
        logits: z of the clean images, (B, K).
        goal: the queries.
        otherwise: (B, K), where there are fewer wrong label rows.
        count: how many.
    """
    rows = goal.train_labels.unique(dim=0)
    rows = rows[rows.any(dim=1)]
    centers = center_codes(rows, goal.train_codes, goal.train_labels)
    codes = torch.from_numpy(centers).to(logits)
    codes, rows = codes[codes.any(dim=1)], rows[codes.any(dim=1)]
    cost = (logits.abs() @ codes.abs().T - logits @ codes.T) / 2
    cost = torch.where(relevant(goal.labels, rows).bool(), torch.inf, cost)
    spare = torch.full((len(cost), count), torch.inf, device=cost.device)
    values, order = torch.cat([cost, spare], dim=1).sort(dim=1, stable=True)
    padded = torch.cat([codes, codes.new_zeros(count, codes.shape[1])])
    found = padded[order[:, :count]]
    return torch.where(values[:, :count, None].isfinite(), found, otherwise[:, None])


def _codes(logits: Tensor) -> Tensor:
    return torch.where(logits >= 0, 1.0, -1.0)
