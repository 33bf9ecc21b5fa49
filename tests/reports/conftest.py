"""Results made by hand: every value of a report is known before it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from hashbench.cli.helped import HelpedCommand
from hashbench.data.protocol import Protocol
from hashbench.eps import Eps
from hashbench.plugins import Access, Aim
from hashbench.results import load
from hashbench.results.cell import CLEAN, AttackFacts, Cell, CellResult, Status
from hashbench.results.results import Results

TRAINING = {
    "base": {"batch": 32, "epochs": 45, "learning_rate": 0.05, "optimizer": "sgd"},
    "budget": {"epochs": 12, "eps": "8/85", "inner_steps": 7},
    "compute": {"attack_batch": 500, "device": "cpu", "threads": 1},
}
LEVELS = tuple(np.linspace(0.1, 1.0, 10).tolist())


ACCESS = {"noise": Access.NONE, "search": Access.CODES, "ranked": Access.RANKING}


def facts_of(attack: str, aim: Aim = Aim.UNTARGETED) -> AttackFacts:
    """An attack by its name; parameters that are whole numbers are numbers.

    `noise` never asks, `search` and `ranked` see codes, `transfer` follows a surrogate, all others
    gradients.
    """
    name, _, rest = attack.partition(":")
    given = [part.partition("=") for part in rest.split(",") if part]
    parameters = {key: int(value) if value.isdigit() else value for key, _, value in given}
    return AttackFacts(
        name=name,
        aim=aim,
        access=ACCESS.get(name, Access.GRADIENT),
        transfers=name == "transfer",
        parameters=parameters,
    )


@dataclass
class Book:
    """Collects cells; `results()` hands them out in the order of `order`."""

    dataset: str = "fashion"
    loss: str = "csq"
    backbone: str = "small-cnn"
    bits: int = 32
    train: int = 2000
    query: int = 500
    database: int = 10000
    classes: int = 10
    top_k: int | None = None
    chance: float = 0.1
    floor: float = 0.05
    training: str = "7" * 64
    card: Mapping[str, object] = field(default_factory=lambda: TRAINING)
    cells: list[CellResult] = field(default_factory=list)

    @property
    def protocol(self) -> Protocol:
        return Protocol(
            dataset=self.dataset,
            train=self.train,
            query=self.query,
            database=self.database,
            classes=self.classes,
            split="5" * 64,
            top_k=self.top_k,
        )

    def cell(self, defense: str, attack: str, seed: int = 0, eps: str = "24/255") -> Cell:
        return Cell(
            dataset=self.dataset,
            loss=self.loss,
            backbone=self.backbone,
            bits=self.bits,
            defense=defense,
            attack=attack,
            eps="0" if attack == CLEAN else eps,
            seed=seed,
            protocol=self.protocol.hash,
            training=self.training,
        )

    def clean(self, defense: str, value: float, seed: int = 0, **metrics: float) -> Book:
        """A clean cell; `metrics` replace those of a good model, `_` standing for `-`."""
        name = self.protocol.metric
        found = {
            name: value,
            f"{name}(ties=worst)": value - 0.04,
            f"{name}(ties=best)": value + 0.05,
            f"t-{name}": 0.1,
            "chance": self.chance,
            "floor": self.floor,
            "distinct-codes": 812.0,
            "bit-balance": 0.77,
            "bit-entropy": 0.9,
            "saturated": 0.007,
            "tied": 1.0,
            "probe-unstable": 0.0,
            "probe-moved-at-eps-0": 0.0,
            "probe-clean": value,
            "probe-unbounded": self.floor + 0.01,
            "probe-floor": self.floor,
        } | {key.replace("_", "-"): given for key, given in metrics.items()}
        return self._done(self.cell(defense, CLEAN, seed), found, [value])

    def attacked(
        self,
        defense: str,
        attack: str,
        scores: float | Sequence[float],
        seed: int = 0,
        eps: str = "24/255",
        zero_gradients: float = 0.0,
        seconds: float | None = 0.0125,
        reach: float | None = None,
        **metrics: float,
    ) -> Book:
        """An attacked cell; `scores` is the AP of each query, or one for all; see `clean`."""
        per_query = [scores] if isinstance(scores, float) else list(scores)
        value = float(np.mean(per_query))
        name = self.protocol.metric
        found = {
            name: value,
            f"{name}(ties=worst)": value - 0.02,
            f"{name}(ties=best)": value + 0.03,
            "zero-gradients": zero_gradients,
            "saturated": 0.01,
            "forwards": 101.0,
            "backwards": 100.0,
        } | {key.replace("_", "-"): given for key, given in metrics.items()}
        cell = self.cell(defense, attack, seed, eps)
        return self._done(cell, found, per_query, replace(facts_of(attack), reach=reach), seconds)

    def targeted(
        self,
        defense: str,
        attack: str,
        reached: float,
        own: float,
        seed: int = 0,
        eps: str = "24/255",
        **metrics: float,
    ) -> Book:
        """A cell of a targeted attack: its t-mAP, and the mAP by the query's own labels."""
        name = f"t-{self.protocol.metric}"
        found = {
            name: reached,
            f"{name}(ties=worst)": reached - 0.1,
            f"{name}(ties=best)": reached + 0.1,
            "queries-without-target": 3.0,
        }
        self.attacked(defense, attack, own, seed, eps, **metrics)
        last = self.cells.pop()
        facts = facts_of(attack, Aim.TARGETED)
        self.cells.append(replace(last, metrics={**last.metrics, **found}, attack=facts))
        return self

    def proven(
        self,
        defense: str,
        scores: float | Sequence[float],
        seed: int = 0,
        eps: str = "24/255",
        **metrics: float,
    ) -> Book:
        """A certificate; `scores` is the proven AP of each query, or one for all.

        In the mean order of ties it is a hundredth more.
        """
        per_query = [scores] if isinstance(scores, float) else list(scores)
        found = {
            f"certified_{self.protocol.metric}": float(np.mean(per_query)),
            f"certified_{self.protocol.metric}(ties=expected)": min(
                1.0, float(np.mean(per_query)) + 0.01
            ),
            "certified_bits": 0.9,
            "certified_codes": 0.6,
            "certified_exact": 0.95,
            "certified_recall@1": 0.5,
        } | metrics
        cell = self.cell(defense, CLEAN, seed).certified(Eps.parse(eps))
        self._done(cell, found, per_query, seconds=0.02)
        self.cells.append(replace(self.cells.pop(), recall=(), precision=()))
        return self

    def unproven(
        self,
        defense: str,
        reason: str,
        seed: int = 0,
        eps: str = "24/255",
        status: Status = Status.DONE,
    ) -> Book:
        """A certificate that proves nothing, or was not made."""
        cell = self.cell(defense, CLEAN, seed).certified(Eps.parse(eps))
        said = f"no certificate: {reason}" if status is Status.DONE else reason
        self.cells.append(CellResult(cell, status, said))
        return self

    def lost(
        self,
        defense: str,
        attack: str,
        reason: str,
        seed: int = 0,
        status: Status = Status.FAILED,
        eps: str = "24/255",
        aim: Aim = Aim.UNTARGETED,
    ) -> Book:
        facts = None if attack == CLEAN else facts_of(attack, aim)
        cell = self.cell(defense, attack, seed, eps)
        self.cells.append(CellResult(cell, status, reason, attack=facts))
        return self

    def _done(
        self,
        cell: Cell,
        metrics: Mapping[str, float],
        per_query: Iterable[float],
        facts: AttackFacts | None = None,
        seconds: float | None = None,
    ) -> Book:
        scores = np.array(list(per_query), dtype=np.float64)
        height = float(scores.mean())
        precision = tuple(height * (1.15 - 0.3 * level) for level in LEVELS)
        self.cells.append(
            CellResult(
                cell,
                Status.DONE,
                metrics=metrics,
                recall=LEVELS,
                precision=precision,
                per_query=scores,
                attack=facts,
                seconds=seconds,
            )
        )
        return self

    def results(
        self, *others: Book, order: Callable[[list[CellResult]], list[CellResult]] = list
    ) -> Results:
        books = (self, *others)
        return Results(
            cells=tuple(order([cell for book in books for cell in book.cells])),
            protocols={book.protocol.hash: book.protocol for book in books},
            trainings={book.training: book.card for book in books},
        )


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text without colours wherever the tests run, be it a terminal."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def book() -> Book:
    """An empty book of the quick suite."""
    return Book()


@pytest.fixture
def new_book() -> type[Book]:
    """For books of another protocol or training."""
    return Book


@pytest.fixture
def quick(book: Book) -> Book:
    """The quick suite: three defenses, four attacks, one seed."""
    for defense, clean, values in (
        ("none", 0.722, {"noise": 0.701, "hag": 0.171, "sdha": 0.212, "pgd-hamming": 0.071}),
        ("atrdh", 0.711, {"noise": 0.702, "hag": 0.414, "sdha": 0.431, "pgd-hamming": 0.338}),
        ("cgat", 0.683, {"noise": 0.679, "hag": 0.588, "sdha": 0.602, "pgd-hamming": 0.519}),
    ):
        book.clean(defense, clean)
        for attack, value in values.items():
            book.attacked(defense, attack, value)
    return book


@pytest.fixture
def rich_book(book: Book) -> Book:
    """Three defenses and a collapsed one, four attacks, three seeds, five eps, one failed cell."""
    return fill(book)


def fill(book: Book) -> Book:
    """See `rich_book`."""
    random = np.random.default_rng(0)
    radii = ("2/255", "4/255", "8/255", "16/255", "24/255")
    strength = {"noise": 0.04, "hag": 0.8, "sdha": 0.72, "pgd-hamming:steps=20": 1.0}
    defenses = {
        "none": (0.722, 3.2),
        "cgat:inner_steps=14,weight=0.5": (0.683, 0.32),
        "atrdh": (0.711, 1.1),
    }
    for seed in range(3):
        for defense, (clean, weakness) in defenses.items():
            clean += float(random.normal(0, 0.006))
            book.clean(defense, clean, seed, floor=0.03 + float(random.uniform(0, 0.005)))
            for eps, step in zip(radii, (2, 4, 8, 16, 24), strict=True):
                for attack, force in strength.items():
                    if (defense, attack, seed, eps) == ("atrdh", "sdha", 1, "24/255"):
                        book.lost(defense, attack, "attack 'sdha' must return finite images", seed)
                        continue
                    left = 0.03 + (clean - 0.03) * np.exp(-weakness * force * step / 24)
                    scores = np.clip(left + random.normal(0, 0.1, 50), 0, 1)
                    book.attacked(defense, attack, scores, seed, eps)
        book.clean("flat", 0.1, seed, distinct_codes=1.0, bit_entropy=0.0, tied=1.0, floor=0.1)
        for eps in radii:
            for attack in strength:
                book.attacked("flat", attack, 0.1, seed, eps)
    return book


@pytest.fixture
def paper(new_book: type[Book]) -> Callable[..., Book]:
    """An empty book whose protocol is that of the shipped FLICKR-25K rows; see `Book`."""

    def make(**changes: Any) -> Book:
        conditions: dict[str, Any] = {
            "dataset": "flickr25k",
            "loss": "dph",
            "backbone": "alexnet:weights=imagenet",
            "classes": 38,
            "top_k": 5000,
            "chance": 0.534,
            "train": 5000,
            "query": 1700,
            "database": 23300,
        }
        return new_book(**(conditions | changes))

    return make


@pytest.fixture
def run_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Run a command on results made by hand, in an empty folder and a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(command: Callable[..., None], results: Results, *words: str) -> Any:
        app = typer.Typer()
        app.command(cls=HelpedCommand)(command)
        monkeypatch.setattr(load, "read_folders", lambda *_: results)
        return CliRunner().invoke(app, words)

    return call
