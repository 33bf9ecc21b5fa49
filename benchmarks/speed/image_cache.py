"""How much faster a data set is loaded from the cache than decoded.

    python benchmarks/speed/image_cache.py [FOLDER_OF_PHOTOS] [--images 1000] [--rounds 5]

Makes a list folder of so many photographs in a temporary place (those of the folder in turn, each
with a comment of its own so that no two files are alike; without a folder smooth noise of
640 x 480), and loads it in turns from an empty cache and from a filled one. A load reads the lists,
makes or finds the pixels (short side 256, center crop 224) and adds up every byte of every image.
The file system's own cache is warm in both cases. Prints each round's seconds and the ratio of the
medians, and exits with 1 when that is below 10.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from hashbench.data.cache.folder import VARIABLE
from hashbench.data.sets.any_lists import Lists

LEAST = 10.0
SUFFIXES = (".jpg", ".jpeg", ".png")


def main() -> None:
    """Print seconds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path, nargs="?", metavar="FOLDER_OF_PHOTOS")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--crop", type=int, default=224)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = make_folder(folder / "data", options.photos, options.images)
        print(f"{options.images} files, {size / 2**20:.1f} MiB; crop {options.crop}")
        decoded, cached = [], []
        for number in range(options.rounds):
            os.environ[VARIABLE] = str(folder / f"cache{number}")
            first, total = load(folder / "data", options.crop)
            second, again = load(folder / "data", options.crop)
            if total != again:
                sys.exit("the cache gave other pixels than the decoder")
            decoded.append(first)
            cached.append(second)
            print(f"round {number + 1}: decoding {first:7.3f} s, from the cache {second:7.3f} s")
    ratio = statistics.median(decoded) / statistics.median(cached)
    print(f"ratio of the medians {ratio:.1f} (at least {LEAST:.0f} is asked for)")
    sys.exit(0 if ratio >= LEAST else 1)


def load(root: Path, crop: int) -> tuple[float, int]:
    """Seconds to load the data set and read all of its pixels, and their sum."""
    began = time.perf_counter()
    data = Lists(crop=crop).load(root)
    total = 0
    for part in (data.query, data.database):
        for start in range(0, len(part), 100):
            # As 8-byte words: what is measured is the reading, not the adding.
            words = part.images[start : start + 100].reshape(-1).view(np.uint64)
            total = (total + int(words.sum())) % 2**64
    return time.perf_counter() - began, total


def make_folder(root: Path, photos: Path | None, images: int) -> int:
    """Write the images and their lists; the first tenth are queries. Returns the images' bytes."""
    sources = [] if photos is None else [path for path in photos.rglob("*") if is_photo(path)]
    if photos is not None and not sources:
        sys.exit(f"{photos}: no photos in it")
    (root / "images").mkdir(parents=True)
    names, size = [], 0
    for number in range(images):
        content = noise(number) if not sources else sources[number % len(sources)].read_bytes()
        name = f"images/{number:05}.jpg"
        content += f"file {number}".encode()  # after the image's end: decoders pass it over
        (root / name).write_bytes(content)
        names.append(name)
        size += len(content)
    queries = images // 10
    for split, part in (("test", names[:queries]), ("database", names[queries:])):
        write_lists(root, split, part)
    write_lists(root, "train", names[queries:])
    return size


def write_lists(root: Path, split: str, names: list[str]) -> None:
    """Write the two lists of a split, with two classes."""
    (root / f"{split}_img.txt").write_text("".join(f"{name}\n" for name in names))
    rows = ("0 1\n" if number % 2 else "1 0\n" for number in range(len(names)))
    (root / f"{split}_label.txt").write_text("".join(rows))


def is_photo(path: Path) -> bool:
    """Whether the name is that of an image file."""
    return path.suffix.lower() in SUFFIXES


def noise(seed: int) -> bytes:
    """A JPEG of 640 x 480 smooth random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC)
    content = BytesIO()
    image.save(content, "JPEG", quality=90)
    return content.getvalue()


if __name__ == "__main__":
    main()
