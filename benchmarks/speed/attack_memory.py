"""How much memory 5,000 attacked queries of 3 x 224 x 224 add to a process.

    python benchmarks/speed/attack_memory.py [--queries 5000] [--batch 5]

The harness (`run_attack` with one step of `pgd-hamming`) and the probe each run in a fresh process,
on the CPU, one thread, with random pixels and a linear hash that keeps nothing beside its input. So
what is measured is what the queries take: a block of images that waits for its codes, and the
tensors of one batch. A network's own activations come on top, in the clean codes as well.

Prints the peak of the resident memory once everything is loaded, the uint8 pixels too, and one
query has gone through, and what all of them add to it. Bar: at most 400 MB (10^6 bytes) each; exits
with 1 above it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from hashbench import plugins
from hashbench.attacking import Attacker, Known, Threat, run_attack
from hashbench.eps import Eps
from hashbench.hashing import BackboneNet, HashModel
from hashbench.plugins import Attack
from hashbench.runner.probe import probe

SHAPE = (3, 224, 224)
BITS = 16
TRAIN = 1000
BAR = 400
RUNS = ("harness", "probe")


class LinearHash(HashModel):
    """`sign(W x + b)` of the pixels as they are: its normalisation would be the identity."""

    def __init__(self) -> None:
        features = int(np.prod(SHAPE))
        net = BackboneNet(nn.Flatten(), features, (0.0,) * SHAPE[0], (1.0,) * SHAPE[0])
        super().__init__(net, BITS)

    @override
    def logits(self, images: Tensor) -> Tensor:
        """Without a copy of the images."""
        logits: Tensor = self.hash_layer(images.flatten(1))
        return logits


def main() -> None:
    """Print one line per run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=5, help="queries that are attacked together")
    parser.add_argument("--only", choices=RUNS, help="measure this one in this process, as JSON")
    given = parser.parse_args()
    if given.only is not None:
        print(json.dumps(measured(given.only, given.queries, given.batch)))
        return
    shape = " x ".join(map(str, SHAPE))
    print(f"{given.queries:,} queries of {shape}, attacked {given.batch} at a time, 1 thread")
    added = []
    for name in RUNS:
        command = [sys.executable, "-P", str(Path(__file__).resolve()), "--only", name]
        command += ["--queries", str(given.queries), "--batch", str(given.batch)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        added.append(found["peak"] - found["loaded"])
        print(
            f"{name:8} loaded {found['loaded']:7,.0f} MB   peak {found['peak']:7,.0f} MB   "
            f"added {added[-1]:6,.0f} MB   in {found['seconds']:4.0f} s"
        )
    print(f"bar: {BAR} MB added")
    sys.exit(int(max(added) > BAR))


def measured(name: str, queries: int, batch: int) -> dict[str, float]:
    """Peaks before and after, in MB, and the seconds between."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = LinearHash().eval()
    attack = plugins.get("attack", "pgd-hamming", steps=1)
    if not isinstance(attack, Attack):
        raise TypeError("pgd-hamming is no attack")
    codes, centers = (
        rng.choice(np.array([-1, 1], dtype=np.int8), (rows, BITS)) for rows in (TRAIN, queries)
    )
    labels, rows = (np.ones((count, 1), dtype=np.uint8) for count in (queries, TRAIN))
    attacker = Attacker(Known.of(labels, centers, codes, rows))
    pixels = random_pixels(rng, queries)

    def run(count: int) -> None:
        first = slice(count)
        if name == "harness":
            threat, told = Threat(Eps.parse("8/255")), attacker.rows(first)
            run_attack(attack, model, pixels[first], told, threat, range(count), batch=batch)
        else:
            probe(model, pixels[first], centers[first], centers[first])

    run(1)  # torch loads parts of itself when they are first asked for
    loaded, began = peak(), time.perf_counter()
    run(queries)
    return {"loaded": loaded, "peak": peak(), "seconds": time.perf_counter() - began}


def random_pixels(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Made a few at a time: what is given back before the first peak would hide as much later."""
    pixels = np.empty((count, *SHAPE), dtype=np.uint8)
    for start in range(0, count, 10):
        part = pixels[start : start + 10]
        part[:] = rng.integers(0, 256, part.shape, dtype=np.uint8)
    return pixels


def peak() -> float:
    """The largest resident memory of this process so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
