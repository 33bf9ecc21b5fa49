"""Names of files and folders that layouts are known by: of images, tables, metadata and Arrow."""

from __future__ import annotations

import os
from typing import Final

IMAGES: Final = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
    *(".avif", ".heic", ".heif", ".jp2", ".j2k", ".jxl"),
)
"""What images end in, in any case. Those that are not decoded are told as broken, not passed over.
"""

TABLES: Final = (".csv", ".tsv")
"""What tables end in, in any case."""

ROWS: Final = (".arrow", ".parquet")
"""What HuggingFace's files of rows end in."""

DATASET_DICT: Final = "dataset_dict.json"
"""Names the splits that HuggingFace's `save_to_disk` wrote."""

STATE: Final = "state.json"
"""Names the files of one of these splits."""

METADATA: Final = ("metadata.jsonl", "metadata.csv")
"""The files beside the images of HuggingFace's imagefolder."""

_LEFT_BY_PROGRAMS: Final = ("__MACOSX",)


def is_image(name: str) -> bool:
    """Whether a file is an image by its name."""
    return os.path.splitext(name)[1].lower() in IMAGES  # noqa: PTH122 - it is a name, no path


def is_table(name: str) -> bool:
    """Whether a file is a table by its name."""
    return name.lower().endswith(TABLES)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is passed over: by a dot, or as programs leave it."""
    return name.startswith(".") or name in _LEFT_BY_PROGRAMS
