"""Write the embedded images from the published files of Fashion-MNIST.

    python -m hashbench.data.garments.embed IDX_FOLDER [--output FOLDER]

Reads the four published files of Fashion-MNIST and writes `fashion.xz` and `fashion.json`, the same
bytes each time. Picked are 1,000 database images and 50 queries of each class; the first 200 of a
class's 1,000 are train images. See `hashbench.data.garments.selection` for the rule.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hashbench.data.fixed_order import fixed_order
from hashbench.data.garments.embedded_file import CARD, PIXELS, PackedCard, content_digest, pack
from hashbench.data.garments.garments import GarmentSplit
from hashbench.data.garments.idx import find_idx, read_content
from hashbench.data.garments.idx_folder import FILES, IdxFolder, read_idx_folder
from hashbench.data.garments.selection import pick_queries, pick_train
from hashbench.errors import UsageError

DATABASE_PER_CLASS = 1_000
TRAIN_PER_CLASS = 200
QUERIES_PER_CLASS = 50

OUTPUT = Path(__file__).parents[1] / "embedded"
"""The package that the data sets read."""


def select(
    source: IdxFolder,
    database_per_class: int = DATABASE_PER_CLASS,
    train_per_class: int = TRAIN_PER_CLASS,
    queries_per_class: int = QUERIES_PER_CLASS,
) -> GarmentSplit:
    """Pick the split; database and queries each have an order of their own, not by class.

    Args:
        source: the published images.
        database_per_class: taken from the train half.
        train_per_class: how many of these are train images.
        queries_per_class: taken from the test half, none with the pixels of a train half's image.

    Raises:
        UsageError: a class has too few images.
    """
    picked = pick_train(source.train, database_per_class, what="database images")
    is_train = np.zeros(picked.shape, dtype=np.bool_)
    is_train[:, :train_per_class] = True
    order = fixed_order("hashbench database order", picked.size)
    asked = pick_queries(source.test, source.train, queries_per_class, what="queries").ravel()
    query_order = fixed_order("hashbench query order", asked.size)
    return GarmentSplit(
        database=source.train.take(picked.ravel()[order]),
        train=np.flatnonzero(is_train.ravel()[order]),
        query=source.test.take(asked[query_order]),
    )


def write(folder: Path, output: Path) -> tuple[Path, Path]:
    """Write the packed images of `folder`'s idx files to `output`; returns the two files.

    Raises:
        UsageError: an idx file is missing or malformed, or the output cannot be written.
    """
    split = select(read_idx_folder(folder))
    card = PackedCard(
        about="A part of Fashion-MNIST, written by `python -m hashbench.data.garments.embed`",
        origin="https://github.com/zalandoresearch/fashion-mnist",
        licence="MIT, see LICENSE-fashion-mnist",
        sources={
            name: hashlib.sha256(read_content(find_idx(folder, name))).hexdigest() for name in FILES
        },
        database=len(split.database),
        query=len(split.query),
        train=len(split.train),
        sha256=content_digest(split),
    )
    pixels_path, card_path = output / PIXELS, output / CARD
    try:
        output.mkdir(parents=True, exist_ok=True)
        pixels_path.write_bytes(pack(split))
        card_path.write_bytes(card.to_json())
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be written ({error.strerror})") from None
    return pixels_path, card_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, or leaves with 2 and one sentence on wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m hashbench.data.garments.embed",
        description="Write the images that ship with hashbench from Fashion-MNIST's idx files.",
    )
    parser.add_argument("folder", type=Path, metavar="IDX_FOLDER", help="holds the four idx files")
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT,
        metavar="FOLDER",
        help="where to write (default: the package itself)",
    )
    given = parser.parse_args(arguments)
    try:
        for path in write(given.folder, given.output):
            sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes\n")
    except UsageError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
