"""The whole examination: every probe in its order, those left out that rest on what is broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hashbench.doctor import folders, machine
from hashbench.doctor.finding import Finding, State, looked_at
from hashbench.doctor.model import model
from hashbench.doctor.packages import failed_imports, packages, python_and_hashbench
from hashbench.doctor.plugins import plugins


@dataclass(frozen=True)
class Asked:
    """What to look at.

    Attributes:
        results: the folder that runs will write into.
        device: `cpu`, or `cuda` to compare there as well.
        quick: leave the shipped model out.
    """

    results: Path
    device: str = "cpu"
    quick: bool = False


def examined(asked: Asked) -> Iterator[Finding]:
    """Every finding, as soon as there is one. Nothing that is found raises."""
    yield from looked_at("python", python_and_hashbench)
    faults: Mapping[str, str] = {}
    try:
        faults = failed_imports()
    except OSError as error:
        text = f"no other process can be started ({error.strerror or error}), so no import is tried"
        yield Finding("packages", State.WRONG, text)
    yield from looked_at("packages", partial(packages, faults))
    yield from looked_at("memory", machine.memory)
    yield from looked_at("data cache", folders.cache)
    yield from looked_at("results", partial(folders.results, asked.results))
    yield from looked_at("temporary", folders.temporary)
    if faults:
        text = "not looked at, nor is the shipped model: see the packages above"
        yield Finding("plugins", State.NOTE, text)
        return
    yield from looked_at("plugins", plugins)
    yield from looked_at("cpu", machine.processors)
    there = True
    for finding in looked_at("cuda", partial(machine.gpus, asked.device == "cuda")):
        there = there and finding.state is State.OK
        yield finding
    if asked.quick:
        return
    yield from looked_at("model, cpu", partial(model, "cpu"))
    if asked.device == "cuda" and there:
        yield from looked_at("model, cuda", partial(model, "cuda"))
