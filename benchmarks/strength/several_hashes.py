"""What a file that was made against one hash is to the others: run it and read.

    python benchmarks/strength/several_hashes.py PHOTOS [--attack evade] [--eps 8/255] [--hash ...]

Runs `hashbench match` with an attack on a folder of photographs, in a new folder, and asks every
hash about every file that evades one of them. Prints a row for each hash that was attacked: how
many pictures evade it, and in how many of these files each hash still finds the picture, in
percent; `any` is a list that takes a match of any of them. The attacker knows of one hash alone,
and `evade` stops as soon as it is beaten: one who aims at all of them at once gets further.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from hashbench import plugins
from hashbench.matching.contract import Hasher
from hashbench.matching.export_names import export_name, file_names
from hashbench.matching.picture_set import PictureSet
from hashbench.matching.reading import read_pictures
from hashbench.matching.sizes import Size
from hashbench.matching.verdicts import verdict_of

HASHES: Final = ("pdq", "phash", "dhash", "ahash")
SIZE: Final = "256x256"


def hash_of(name: str) -> Hasher:
    """A hash by its name.

    Raises:
        TypeError: it is none.
    """
    found = plugins.get("hasher", name)
    if not isinstance(found, Hasher):
        raise TypeError(name)
    return found


def evading_files(photos: Path, hashes: Sequence[str], attack: str, eps: str, folder: Path) -> Path:
    """Where `hashbench match` put the files that evade."""
    words = [word for name in hashes for word in ("--hash", name)]
    command = [
        *(sys.executable, "-m", "hashbench", "match", *words, "--attack", attack, "--eps", eps),
        *("--images", str(photos), "--size", SIZE, "--out", str(folder / "matches")),
        *("--export-images", str(folder / "files")),
    ]
    subprocess.run(command, check=True)  # noqa: S603 - own command
    return folder / "files"


def matching(
    files: Path, found: PictureSet, cell: tuple[str, str, str], hashers: Sequence[Hasher]
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Of each evading file, which hashes still match its clean picture: (files, hashes).

    `cell` is the hash that was attacked, the attack and the radius.
    """
    rows = []
    names = file_names([picture.name for picture in found.pictures])
    for picture, name in zip(found.pictures, names, strict=True):
        path = files / export_name(*cell, name)
        if not path.exists():
            continue
        file = np.asarray(Image.open(path))
        rows.append(
            [
                int((verdict_of(one, file) != verdict_of(one, picture.saved)).sum())
                <= one.threshold
                for one in hashers
            ]
        )
    return np.array(rows, dtype=np.bool_).reshape(len(rows), len(hashers))


def main() -> None:
    """Parse the command line, run, print; exit with 1 where a file does not do what is claimed."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--attack", default="evade", help="by its canonical name")
    parser.add_argument("--eps", default="8/255")
    parser.add_argument("--hash", action="append")
    asked = parser.parse_args()
    names = asked.hash or list(HASHES)
    hashers = [hash_of(name) for name in names]
    found = read_pictures(asked.photos, Size.of(SIZE))
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        files = evading_files(asked.photos, names, asked.attack, asked.eps, Path(scratch))
        heads = "".join(f"{name:>8}" for name in (*names, "any"))
        print(f"{'against':>10} {'evade':>7}   still matched by{heads}")
        for place, name in enumerate(names):
            still = matching(files, found, (name, asked.attack, asked.eps), hashers)
            wrong += int(still[:, place].sum())
            share = 100 * len(still) / len(found.pictures)
            columns = [*(100 * still.mean(axis=0)), 100 * still.any(axis=1).mean()]
            told = "".join(f"{value:8.1f}" for value in columns)
            print(f"{name:>10} {share:7.1f}   {'':16}{told}")
    if wrong:
        sys.exit(f"{wrong} exported files still match the hash that they are said to evade")


if __name__ == "__main__":
    main()
