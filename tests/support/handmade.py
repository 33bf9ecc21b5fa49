"""A folder of results that is written by hand: plans, scores, attacks; and its damage."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hashbench.data import Protocol
from hashbench.results.address import Address
from hashbench.results.cell import CLEAN, Cell
from hashbench.results.store import DONE, Store
from hashbench.results.sums import sealed

PROTOCOL = Protocol("tiny", 24, 3, 40, 4, "5" * 64, None)
WIDER = replace(PROTOCOL, database=41)
PROTOCOLS = {protocol.hash: protocol for protocol in (PROTOCOL, WIDER)}
TRAINING = {"base": {"epochs": 2}, "compute": {"device": "cpu", "threads": 3}}
CLEAN_CELL = Cell(*("tiny", "csq", "small-cnn", 8, "none", CLEAN, "0", 0), PROTOCOL.hash, "7" * 64)
HAG = replace(CLEAN_CELL, attack="hag", eps="8/255")
NOISE = replace(HAG, attack="noise")


def address(cell: Cell, kind: str, version: int = 0) -> Address:
    """Where something of a cell lies; all cells of a row share their model."""
    if kind == "model":
        cell = cell.clean
    text = json.dumps([asdict(cell), kind, version], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()
    return Address(kind, f"{kind} {cell.defense} {cell.attack}", key)


class HandMade:
    """One folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store(path)

    def plan(
        self, name: str, cells: Iterable[Cell], *, version: int = 0, number: int = 0, **more: Any
    ) -> Path:
        """Write a plan; without a number it is the folder's latest."""
        several = tuple(cells)
        record = {
            "number": number or self.store.next_number(),
            "asked": "2026-01-01T00:00:00+00:00",
            "suite": {"name": name},
            "protocols": {cell.protocol: PROTOCOLS[cell.protocol].to_plain() for cell in several},
            "trainings": {cell.training: TRAINING for cell in several},
            "cells": [
                {
                    "cell": asdict(cell),
                    "scores": asdict(address(cell, "scores", version)),
                    "attack": f"attack {version}" if cell.attack != CLEAN else "",
                    "made": f"model {version}",
                    "steps": [
                        asdict(address(cell, kind, version))
                        for kind in ("model", "adversarial", "scores")
                    ],
                }
                for cell in several
            ],
        }
        self.store.write_plan(name, record | more)
        return self.store.plan_path(name)

    def score(
        self,
        cell: Cell,
        per_query: Iterable[float],
        *,
        version: int = 0,
        about: Mapping[str, Any] | None = None,
        **metrics: float,
    ) -> Path:
        """Write what was measured of a cell; returns its folder."""
        values = np.array(list(per_query), dtype=np.float64)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, expected=values)
        summary = {
            "metrics": {"map": float(values.mean()), **metrics},
            "curve": {"recall": [0.0, 1.0], "precision": [1.0, 0.5]},
        }
        files = {"scores.json": json.dumps(summary).encode(), "per_query.npz": buffer.getvalue()}
        place = address(cell, "scores", version)
        self.store.write(place, files, about or {})
        return self.path / place.path

    def attack(self, cell: Cell, seconds: float, *, version: int = 0) -> Path:
        """Write the record of an attack; returns its folder."""
        place = address(cell, "adversarial", version)
        self.store.write(place, {"codes.npz": b"not looked at"}, {"seconds": seconds})
        return self.path / place.path


def resealed(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a record as somebody who knows of its sum."""
    record = json.loads(path.read_text())
    record.pop("sha256", None)
    change(record)
    path.write_text(json.dumps(sealed(record)))


def newer(path: Path) -> None:
    """A record of the next format."""
    resealed(path, lambda record: record.update(schema=record["schema"] + 1))


def edited(path: Path) -> None:
    """A record that somebody edited who does not know of its sum."""
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"label": "mine"}))


def half_written(path: Path) -> None:
    """The first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def done(folder: Path) -> Path:
    """The record of an artifact."""
    return folder / DONE
