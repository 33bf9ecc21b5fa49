"""Attacked images as files: PNG of 8 bits, exact floats, and tables that say what rounding does."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.atomic import whole_folder
from hashbench.attacking.threat import LEVELS
from hashbench.data.protocol import PixelValues
from hashbench.outputs import refuse_taken
from hashbench.results.cell import Cell
from hashbench.results.pictures import CHANNELS, png
from hashbench.zoo.attacked_images import AttackedImages

EXACT: Final = "exact.npy"
"""The float32 that the model saw, (n, C, H, W), in the order of the table."""

TABLE: Final = "images.csv"
"""Of a cell: a line for each image."""

CELLS: Final = "cells.csv"
"""Of the whole folder: a line for each cell."""

CLEAN: Final = "clean"
"""The folder of the queries as the data set has them."""

_LONGEST: Final = 100
"""Characters of a folder's name, without its hash."""


def write_images(to: Path, cells: Iterable[AttackedImages]) -> Iterator[AttackedImages]:
    """Write a new folder, whole or not at all; it appears once everything is in it.

        cells.csv                       a line for each cell
        <cell>/0000.png                 the attacked query 0, rounded to 8 bits
        <cell>/clean/0000.png           the query itself
        <cell>/exact.npy                float32 (n, C, H, W), what the model saw
        <cell>/images.csv               a line for each image

    Images of other than one or three channels have no PNG.

    Args:
        to: a folder that is not there yet, or is empty.
        cells: what to write, one after the other.

    Yields:
        Every cell once it is written.

    Raises:
        UsageError: there is something at that place.
        WriteError: it cannot be written; nothing is left behind.
    """
    refuse_taken(to)
    rows: list[list[Any]] = []
    with whole_folder(to) as write:
        for images in cells:
            name = folder_of(images.cell, images.protocol.pixels)
            for file, content in _files(images):
                write(f"{name}/{file}", content)
            rows.append([name, *_named(images), *_summed(images)])
            yield images
        head = ["folder", *(one.name for one in fields(Cell)), "pixels", *_SUMMED]
        write(CELLS, _csv([head, *rows]))


def folder_of(cell: Cell, pixels: str = PixelValues.FLOAT) -> str:
    """The name of a cell's folder: what people look for first, and a hash of all of it.

    Args:
        cell: whose.
        pixels: which values those of its attacked images have.
    """
    rounded = "" if pixels == PixelValues.FLOAT else f" pixels {pixels}"
    words = (
        f"{cell.defense} {cell.attack} eps {cell.eps} {cell.dataset} {cell.bits} bits "
        f"seed {cell.seed}{rounded}"
    )
    readable = re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-.")[:_LONGEST].strip("-.")
    digest = hashlib.sha256(repr(astuple(cell)).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{readable}-{digest[:8]}"


def _files(images: AttackedImages) -> Iterator[tuple[str, bytes]]:
    """The files of a cell: place in its folder, and content."""
    if images.clean.shape[1] in CHANNELS:
        for query, (clean, rounded) in enumerate(zip(images.clean, images.rounded, strict=True)):
            yield _png_name(query), png(rounded)
            yield f"{CLEAN}/{_png_name(query)}", png(clean)
    buffer = io.BytesIO()
    np.save(buffer, images.images, allow_pickle=False)
    yield EXACT, buffer.getvalue()
    yield TABLE, _csv(_image_rows(images))


def _png_name(query: int) -> str:
    return f"{query:04}.png"


def _image_rows(images: AttackedImages) -> Iterator[list[Any]]:
    """Columns are added behind the others; a name keeps its meaning.

    `bits_...` are counts of bits of code, `linf` and `l2` lengths in `[0, 1]` pixels, `ap` average
    precision from 0 to 1, `t_ap` the same by the target's labels.
    """
    head = ["query", "file", "labels", "target_labels", "code_bits"]
    head += ["bits_changed", "bits_changed_rounded", "bits_changed_by_rounding"]
    head += ["linf", "linf_rounded", "l2", "l2_rounded", "rounded_in_ball"]
    kinds = ("clean", "float", "rounded")
    yield [*head, *(f"ap_{kind}" for kind in kinds), *(f"t_ap_{kind}" for kind in kinds)]
    has_png = images.clean.shape[1] in CHANNELS
    for at in range(len(images)):
        targets = None if images.targets is None else images.targets[at]
        yield [
            at,
            _png_name(at) if has_png else "",
            _label_text(images.classes, images.labels[at]),
            "" if targets is None else _label_text(images.classes, targets),
            images.bits,
            images.flipped[at],
            images.flipped_rounded[at],
            images.changed[at],
            float(images.linf[at]),
            images.steps[at] / LEVELS,
            float(images.l2[at]),
            float(images.rounded_l2[at]),
            "no" if images.outside[at] else "yes",
            *(float(images.precisions[kind][at]) for kind in kinds),
            *(
                float(images.toward_targets[kind][at]) if images.toward_targets else ""
                for kind in kinds
            ),
        ]


def _label_text(classes: Sequence[str], row: NDArray[np.uint8]) -> str:
    return ";".join(name for name, there in zip(classes, row, strict=True) if there)


def _named(images: AttackedImages) -> list[Any]:
    return [*astuple(images.cell), images.protocol.pixels]


_SUMMED: Final = (
    "images",
    "code_bits",
    "bits_changed_by_rounding",
    "images_changed_by_rounding",
    "map_clean",
    "map_float",
    "map_rounded",
    "linf",
    "linf_rounded",
    "rounded_outside_ball",
    "codes_differ_here",
)


def _summed(images: AttackedImages) -> list[Any]:
    return [
        len(images),
        images.bits,
        images.changed.sum(),
        np.count_nonzero(images.changed),
        *(float(images.precisions[kind].mean()) for kind in ("clean", "float", "rounded")),
        float(images.linf.max()),
        images.steps.max() / LEVELS,
        np.count_nonzero(images.outside),
        images.elsewhere,
    ]


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
