"""The command that asks for the same matches, without the paths of a machine's own folders."""

from __future__ import annotations

import shlex

from hashbench.runner.matching.grid import BATCH, DRAWS, SIZE, STORED, TRAFFIC, MatchGrid


def command_of(grid: MatchGrid) -> str:
    """`hashbench match --hash pdq ...`: what was left out of it is the default."""
    words = ["hashbench", "match"]
    for option in ("hash", "attack", "eps", "smooth"):
        for value in getattr(grid, option):
            words += [f"--{option}", str(value)]
    for option in ("images", "strangers"):
        path = getattr(grid, option)
        if path is not None:
            words += [f"--{option}", path.resolve().name or str(path)]
    for option, number, usual in (
        ("size", grid.size, SIZE),
        ("draws", grid.draws, DRAWS),
        ("seed", grid.seed, 0),
        ("traffic", grid.traffic, TRAFFIC),
        ("stored", grid.stored, STORED),
        ("threads", grid.compute.threads, 1),
        ("batch", grid.compute.attack_batch, BATCH),
    ):
        if number != usual:
            words += [f"--{option}", str(number)]
    if grid.skip_broken:
        words.append("--skip-broken")
    for path in grid.plugin:
        words += ["--plugin", path.name]
    return shlex.join(words)
