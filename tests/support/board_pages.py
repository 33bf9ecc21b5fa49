"""Results made by hand that fill every part of a page, and large ones. Numbers are drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from typing_extensions import override

from hashbench import plugins
from hashbench.data.protocol import Protocol
from hashbench.plugins import Access, Aim, Format
from hashbench.results.asked import Asked
from hashbench.results.cell import CLEAN, AttackFacts, Cell, CellResult, Status
from hashbench.results.gallery import Exhibit, Gallery, GalleryReader, Hit, no_gallery
from hashbench.results.provenance import Conflict, Measurement, Provenance
from hashbench.results.results import Results

TRAINING: Final = "7" * 64
HOSTILE: Final = (
    "</script><b>bold</b>",
    "\u05e9\u05dc\u05d5\u05dd \u202egnp.exe",
    "\x1b[31mred\x1b[0m",
    "=cmd|' /C calc'!A0",
    "long" * 75,
)
"""Names that strangers chose: markup, right-to-left text and what turns it, a terminal's escapes, a
formula, 300 characters."""

CARD: Final[dict[str, Any]] = {
    "base": {"batch": 32, "epochs": 45, "learning_rate": 0.05, "optimizer": "sgd"},
    "budget": {"epochs": 12, "eps": "8/85", "inner_steps": 7},
    "compute": {"attack_batch": 500, "device": "cpu", "threads": 1},
}
ATTACKS: Final = ("noise", "hag", "sdha", "pgd-hamming:steps=20")
CLASSES: Final = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal")
LEVELS: Final = tuple(np.linspace(0.05, 1.0, 20).tolist())


def cell_of(
    defense: str,
    attack: str,
    eps: str = "24/255",
    seed: int = 0,
    *,
    dataset: str = "fashion",
    loss: str = "csq",
    backbone: str = "small-cnn",
    bits: int = 32,
) -> tuple[Cell, Protocol]:
    """A cell and its protocol."""
    protocol = _protocol(dataset)
    eps = "0" if attack == CLEAN else eps
    names = (dataset, loss, backbone, bits, defense, attack, eps, seed)
    return Cell(*names, protocol=_hash(dataset), training=TRAINING), protocol


@lru_cache
def _protocol(dataset: str) -> Protocol:
    return Protocol(dataset, 2000, 50, 10000, 10, "5" * 64, None)


@lru_cache
def _hash(dataset: str) -> str:
    return _protocol(dataset).hash


def done(cell: Cell, value: float, aim: Aim = Aim.UNTARGETED, **metrics: float) -> CellResult:
    """A cell with its number."""
    clean = cell.attack == CLEAN
    found = {
        "map": value,
        "map(ties=worst)": value - 0.02,
        "map(ties=best)": value + 0.02,
        "t-map": 0.1 if clean else 0.4,
        "saturated": 0.01,
        "distinct-codes": 812.0,
    }
    if clean:
        found |= {"chance": 0.1, "floor": 0.05, "bit-balance": 0.8, "bit-entropy": 0.9}
        found |= {"tied": 0.97, "probe-clean": value, "probe-unbounded": 0.06, "probe-floor": 0.05}
    else:
        found |= {"zero-gradients": 0.0, "forwards": 101.0, "backwards": 100.0}
    if aim is Aim.UNTARGETED and not clean:
        del found["t-map"]
    access = Access.NONE if cell.attack == "noise" else Access.GRADIENT
    name = cell.attack.partition(":")[0]
    height = [min(1.0, value * (1.25 - 0.5 * level)) for level in LEVELS]
    scores = np.clip(value + 0.1 * np.sin(np.arange(50.0)), 0, 1)
    return CellResult(
        cell,
        Status.DONE,
        metrics=found | {key.replace("_", "-"): given for key, given in metrics.items()},
        recall=LEVELS,
        precision=tuple(height),
        per_query=scores,
        attack=None if clean else AttackFacts(name, aim, access, parameters={"steps": 20}),
        seconds=None if clean else 0.0125,
        provenance=Provenance(
            folder="results",
            key=f"{cell.seed}a1b2c3d4e5f6",
            environment={"hashbench": "0.1.0", "torch": "2.4.0", "device": "cpu"},
            made="2026-01-05T10:00:00Z",
        ),
    )


def full_board(*, pictures: bool = True) -> Results:
    """What the quick suite gives, and one of everything else that a page can show."""
    cells: list[CellResult] = []
    strength = {"noise": 0.03, "hag": 0.8, "sdha": 0.72, "pgd-hamming:steps=20": 1.0, "tha": 0.6}
    weakness = {"none": (0.722, 3.0), "cgat": (0.684, 0.32), "atrdh": (0.711, 0.9)}
    for bits in (16, 32):
        for defense, (clean, weak) in weakness.items():
            for seed in (0, 1):
                clean += 0.004 * seed - 0.0004 * (32 - bits)
                cells.append(done(cell_of(defense, CLEAN, seed=seed, bits=bits)[0], clean))
                for eps, step in (("8/255", 8), ("16/255", 16), ("24/255", 24)):
                    for attack, force in strength.items():
                        left = 0.03 + (clean - 0.03) * np.exp(-weak * force * step / 24)
                        cell, _ = cell_of(defense, attack, eps, seed, bits=bits)
                        aim = Aim.TARGETED if attack == "tha" else Aim.UNTARGETED
                        if (defense, attack, seed, eps) == ("atrdh", "sdha", 1, "8/255"):
                            reason = "attack 'sdha' must return finite images"
                            facts = AttackFacts("sdha", aim, Access.GRADIENT)
                            lost = CellResult(cell, Status.FAILED, reason, attack=facts)
                            cells.append(lost)
                            continue
                        cells.append(done(cell, float(left), aim))
    flat: dict[str, Any] = {"distinct_codes": 1.0, "bit_entropy": 0.0, "floor": 0.1}
    cells.append(done(cell_of("flat", CLEAN)[0], 0.1, **flat))
    cells += [done(cell_of("flat", attack)[0], 0.1) for attack in ATTACKS]
    for name in HOSTILE:
        cells.append(done(cell_of(name, CLEAN, dataset=f"lists:root={name}")[0], 0.5))
        cells.append(done(cell_of(name, "hag", dataset=f"lists:root={name}")[0], 0.2))
    cells.sort(key=lambda result: result.cell)
    reader = _gallery if pictures else no_gallery
    return gathered(cells, reader)


def gathered(cells: Sequence[CellResult], reader: GalleryReader | None = None) -> Results:
    """Cells as results."""
    protocols = {_hash(r.cell.dataset): _protocol(r.cell.dataset) for r in cells}
    first = cells[-1]
    other = Measurement(
        {"map": first.metrics["map"] - 0.05}, Provenance(folder="other lab", key="ffff0000aaaa")
    )
    whole = Results(
        cells=tuple(cells),
        protocols=protocols,
        trainings={TRAINING: CARD},
        asked=(Asked("results", "quick", frozenset(result.cell for result in cells)),),
        conflicts=(
            Conflict(first.cell, "map", (Measurement(first.metrics, first.provenance), other)),  # type: ignore[arg-type]
        ),
        troubles=("plans/3.json: half of it is missing: run the same command again",),
    )
    return whole if reader is None else replace(whole, gallery=reader)


def many_cells(count: int, attacks: Sequence[str] = (CLEAN, *ATTACKS)) -> Results:
    """So many cells: a clean one and attacked ones a model, five defenses in a table."""
    cells = []
    for number in range(count):
        model, place = divmod(number, len(attacks))
        table, defense = divmod(model, 5)
        names = {
            "dataset": f"set-{table % 10}",
            "loss": f"loss-{table // 10 % 5}",
            "bits": 16 + table // 50,
        }
        cell, _ = cell_of(f"defense-{defense}:weight={defense}", attacks[place], **names)  # type: ignore[arg-type]
        cells.append(done(cell, 0.7 - 0.1 * place - 0.01 * (model % 7)))
    return gathered(sorted(cells, key=lambda result: result.cell))


@lru_cache
def picture(seed: int) -> bytes:
    """A small picture of a few shapes, as a PNG file."""
    random = np.random.default_rng(seed)
    height = np.zeros((28, 28))
    across, up = np.meshgrid(np.arange(28), np.arange(28))
    for _ in range(4):
        x, y, r = random.integers(6, 22), random.integers(6, 22), random.integers(3, 9)
        height[(across - x) ** 2 + (up - y) ** 2 < r * r] += random.uniform(60, 120)
    file = io.BytesIO()
    Image.fromarray(np.clip(height, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _gallery(cell: Cell) -> Gallery | None:
    if (cell.bits, cell.eps, cell.seed) != (32, "24/255", 0) or cell.attack not in ("hag", "sdha"):
        return None
    return Gallery(tuple(exhibit(query) for query in range(3)))


def exhibit(query: int) -> Exhibit:
    """A query of which an attack makes the search lose what is relevant."""

    def hits(start: int, right: int) -> tuple[Hit, ...]:
        return tuple(
            Hit(
                picture(start + place),
                place=100 * query + start + place,
                distance=place // 3,
                relevant=place < right,
                labels=(CLASSES[query if place < right else query + 1],),
            )
            for place in range(10)
        )

    return Exhibit(
        query=query,
        labels=(CLASSES[query],),
        clean=picture(query),
        attacked=picture(query + 50),
        change=picture(query + 90),
        factor=8.0,
        before=hits(10, 9 - query),
        after=hits(30, query),
        precision=(0.91, 0.08),
    )


def written(results: Results, folder: Path) -> Path:
    """The page of results, as a file."""
    form = plugins.get("format", "html")
    assert isinstance(form, Format)
    path = folder / "board.html"
    path.write_bytes(form.render(results).encode())
    return path


SETTINGS: Final = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]
"""Windows that a page is looked at in: columns of pixels, and the colours that are asked for."""

AXE: Final = """
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations.map(
  (one) => [one.impact, one.id, ...one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200))])));
"""
"""Gives what axe-core finds: how grave, which rule, and where."""

VOID: Final = frozenset(("area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"))


class Reader(HTMLParser):
    """Reads a page: what stands in it, and whether every element is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.astray: list[str] = []
        self.feed(text)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    @override
    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.astray.append(f"</{tag}> at {self.getpos()}")

    @override
    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All text that a reader sees, on one line."""
        return " ".join("".join(self.texts).split())

    def attribute(self, name: str) -> list[str]:
        """The values of an attribute, in their order."""
        return [given[name] for _, given in self.elements if name in given]
