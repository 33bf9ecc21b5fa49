"""The command `hashbench match`: fixed hashes, what an attacker does to them, what is proven."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashbench.characters import counted
from hashbench.cli.completion import plugins_of
from hashbench.cli.debug import OPTION, asked, say_traceback
from hashbench.cli.ended import GOES_ON, ending_at_once, repeat_interrupts
from hashbench.cli.helped import defaulting
from hashbench.cli.named import folder_of_results
from hashbench.cli.options import EXIT_FAILED, PluginFiles
from hashbench.cli.screen import for_notes, image_bar, reporter_on, warn_of_broken
from hashbench.console import TextConsole

if TYPE_CHECKING:
    from hashbench.results.matches.results import MatchResults
    from hashbench.runner.matching.plan import MatchRun

_ASKED = "What to run"
_PICTURES = "Which pictures"
_COMPUTE = "How it is computed"


def match(
    hash: Annotated[  # noqa: A002 - the option's name
        list[str] | None,
        typer.Option(
            "--hash",
            autocompletion=plugins_of("hasher"),
            metavar="NAME",
            help="A hash: pdq, phash, dhash, ahash, iscc, onnx:FILE, or a plugin's. "
            "[default: pdq, phash, dhash, ahash]",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="A trained model of hashbench as a hash: short for --hash model:FOLDER.",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=plugins_of("attack"),
            metavar="NAME",
            help="evade, collide, evade-by-distance, collide-by-distance, or any attack that is "
            "not trained. [default: these four]",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    eps: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EPS",
            help="Radius, such as 4/255; or least, to look for the least one of each picture. "
            "[default: 1/255, 2/255, 4/255 and 8/255; least too for evade; 8/255 alone for "
            "evade-by-distance and collide-by-distance]",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    smooth: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SIGMA",
            help="Prove what holds of each hash where it is smoothed by noise of this deviation, "
            "such as 0.1: of any hash, in l2. Some 1,100 hashes of each picture.",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(
            metavar="N", help="Noisy pictures of a smoothed code.", rich_help_panel=_ASKED
        ),
    ] = 1000,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Of all that is drawn.", rich_help_panel=_ASKED)
    ] = 0,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help=defaulting("Of pictures, sub-folders too.", "64 scenes that hashbench makes"),
            rich_help_panel=_PICTURES,
        ),
    ] = None,
    strangers: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER|FILE",
            help=defaulting(
                "Pictures, or one, that collisions lead to.", "the other pictures of the set"
            ),
            rich_help_panel=_PICTURES,
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="WxH",
            help="Width and height that every picture is brought to; own keeps each one's.",
            rich_help_panel=_PICTURES,
        ),
    ] = "256x256",
    skip_broken: Annotated[
        bool,
        typer.Option(
            "--skip-broken",
            help="Leave out pictures that cannot be read, instead of refusing the folder.",
            rich_help_panel=_PICTURES,
        ),
    ] = False,
    traffic: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="New pictures a day that false flags are counted for.",
            rich_help_panel=_PICTURES,
        ),
    ] = 1_000_000,
    stored: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Stored pictures that each of them is compared with.",
            rich_help_panel=_PICTURES,
        ),
    ] = 10_000,
    plugin: PluginFiles = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the results.")] = Path(
        "matches"
    ),
    export_images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write every file that succeeds there, as HASH/ATTACK/EPS/NAME.png.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help=defaulting("Steps that are made at the same time.", "one for each processor"),
            rich_help_panel=_COMPUTE,
        ),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(metavar="N", help="Torch threads of one step.", rich_help_panel=_COMPUTE),
    ] = 1,
    batch: Annotated[
        int,
        typer.Option(
            metavar="N", help="Pictures that are attacked together.", rich_help_panel=_COMPUTE
        ),
    ] = 8,
) -> None:
    """Attack fixed hashes, prove what no attack can do, and count what a threshold costs.

    Two pictures match where their codes differ in at most T bits. An evasion takes a picture beyond
    T of its own clean file, a collision brings it within T of a stranger; both count only on a
    saved 8-bit PNG that is read again, by the library's own verdict. Options may be repeated, and
    then make a grid. What the folder already holds is not run again.

    For example:

      hashbench match
      hashbench match --hash pdq --hash phash --images photos --out photos-matches
      hashbench match --hash pdq --attack evade --eps 4/255 --export-images evaded
    """
    for library in ("OMP", "OPENBLAS", "MKL"):
        # Before numpy is loaded, whose threads would else take the processors of other workers.
        os.environ.setdefault(f"{library}_NUM_THREADS", str(threads))
    from hashbench.cli.match_images import refuse_export, write_files
    from hashbench.runner.matching.plan import plan_matches
    from hashbench.runner.matching.run import (
        MOST_WORKERS,
        missing_match_steps,
        refuse_other_results,
        run_matches,
    )

    out = folder_of_results(out)
    refuse_other_results(out)
    if export_images is not None:
        refuse_export(export_images, out)
    grid = _grid(
        hash=[*(hash or ()), *(f"model:{folder}" for folder in model or ())],
        attack=attack,
        eps=eps,
        smooth=smooth,
        draws=draws,
        images=images,
        strangers=strangers,
        size=size,
        skip_broken=skip_broken,
        seed=seed,
        traffic=traffic,
        stored=stored,
        plugin=plugin,
        all_files=export_images is not None,
        compute={"threads": threads, "attack_batch": batch},
    )
    notes = for_notes()
    rest = " before anything was run."
    with ending_at_once(notes, rest), image_bar(notes, "reading pictures") as progress:
        plan = plan_matches(grid, progress)
    warn_of_broken(notes)
    for card in plan.sets.values():
        for sentence in card.notes:
            notes.say(sentence)
        break  # all hashes share the pictures
    for sentence in plan.left_out:
        notes.say(sentence)
    count = workers or min(MOST_WORKERS, len(os.sched_getaffinity(0)))
    from hashbench.results.store import Store

    missing = missing_match_steps(plan, Store(out))
    notes.say(
        f"{counted(len(plan.cells), 'cell')}, {counted(len(missing), 'step')} to do, "
        f"{counted(count, 'worker')}."
    )
    with ending_at_once(notes, GOES_ON), repeat_interrupts():
        results = run_matches(plan, out=out, workers=count, reporter=reporter_on(notes, None))
    good = _say_end(notes, results, plan, out)
    if export_images is not None:
        good = write_files(plan, Store(out), export_images, notes) and good
    if not good:
        raise typer.Exit(EXIT_FAILED)


def _grid(**given: Any) -> Any:
    """What was asked for; what was not said is the default.

    Raises:
        UsageError: it is wrong.
    """
    from hashbench.plugins.kinds import Kind
    from hashbench.plugins.lookup import spelled
    from hashbench.plugins.parameters import Spec
    from hashbench.runner.matching.grid import HASHES, MatchGrid
    from hashbench.runner.suite_tables import Compute

    hashes = given.pop("hash") or HASHES
    return MatchGrid(
        hash=tuple(Spec.parse(spelled(Kind.HASHER, text)) for text in hashes),
        attack=tuple(Spec.parse(text) for text in given.pop("attack") or ()),
        eps=tuple(given.pop("eps") or ()),
        smooth=tuple(given.pop("smooth") or ()),
        plugin=tuple(given.pop("plugin") or ()),
        compute=Compute(**given.pop("compute")),
        **given,
    )


def _say_end(notes: TextConsole, results: MatchResults, plan: MatchRun, out: Path) -> bool:
    """Say what became of a run; whether all of it is done."""
    from hashbench.results.matches.violations import compared
    from hashbench.results.store import Store
    from hashbench.runner.matching.run import failures_of

    failed = results.failed
    done = len(results.cells) - len(failed)
    read = f" Read them with: hashbench report {out}" if done else ""
    notes.say(f"{done} of {counted(len(results.cells), 'cell')} done.{read}")
    for result in failed:
        cell = result.cell
        notes.say(
            f"FAILED {cell.hash}, {cell.attack}, eps {cell.eps}: {result.reason}", style="red"
        )
    if failed:
        found = failures_of(plan.steps, Store(out))
        for step, traceback in found if asked() else ():
            notes.say(f"\nTraceback of '{step.label}':")
            say_traceback(notes, traceback)
        if found and not asked():
            notes.say(f"The same command with {OPTION} prints the traceback.")
    for sentence in results.violations:
        notes.say(f"WRONG {sentence}", style="bold red")
    files = compared(results.cells)
    if files and not results.violations:
        notes.say(f"{counted(files, 'file')} compared with what is proven: none contradicts it.")
    return not failed and not results.violations
