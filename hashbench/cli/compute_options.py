"""The options of `hashbench run` that say how it is computed, which other commands share."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from hashbench.cli.helped import defaulting

_COMPUTE: Final = "How it is computed"

Workers = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Cells that run at the same time, each in a process.",
        rich_help_panel=_COMPUTE,
    ),
]

Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help=defaulting("Torch threads of one cell.", "1"),
        rich_help_panel=_COMPUTE,
    ),
]

AttackBatch = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help=defaulting("Queries that are attacked together.", "500"),
        rich_help_panel=_COMPUTE,
    ),
]

DeviceName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help=defaulting("cpu or cuda.", "cpu"), rich_help_panel=_COMPUTE),
]

PrecisionName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=defaulting("float32, tf32 (of a GPU), or mixed: bfloat16 in the backbone.", "float32"),
        rich_help_panel=_COMPUTE,
    ),
]

SearchPrecision = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=defaulting("Precision in which attacks search for their images.", "--precision"),
        rich_help_panel=_COMPUTE,
    ),
]

ProcessCount = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help=defaulting(
            "Processes that train a model together; with more than 1, 'torchrun ... -m "
            "hashbench train' trains it.",
            "1",
        ),
        rich_help_panel=_COMPUTE,
    ),
]

DatabasePart = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help=defaulting(
            "Database images that one step encodes and counts; a larger database is divided "
            "over the workers.",
            "1048576",
        ),
        rich_help_panel=_COMPUTE,
    ),
]

EngineName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Where cells run: local, in processes of this machine; ray, on a Ray cluster.",
        rich_help_panel=_COMPUTE,
    ),
]

DeviceNumbers = Annotated[
    str | None,
    typer.Option(
        metavar="N,N,...",
        help=defaulting("GPUs that workers are spread over.", "torch chooses"),
        rich_help_panel=_COMPUTE,
    ),
]

ClusterAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help=defaulting("Of the cluster of --engine ray.", "ray starts one on this machine"),
        rich_help_panel=_COMPUTE,
    ),
]
