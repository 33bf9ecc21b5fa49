"""The command `hashbench submit`: a suite as jobs of a scheduler, in one shared folder. Thin."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hashbench.characters import counted, shortened, shown
from hashbench.cli.completion import choice, suites
from hashbench.cli.grid_options import about_suite, only_suite
from hashbench.cli.helped import defaulting
from hashbench.cli.named import refuse_folder
from hashbench.cli.options import EXIT_FAILED, PluginFiles
from hashbench.cli.screen import for_answers, for_notes, image_bar, say_folded, warn_of_broken
from hashbench.errors import FileError, UsageError
from hashbench.plugins.paths import at_home
from hashbench.progress import duration

if TYPE_CHECKING:
    from hashbench.runner.submitting.contract import Asked, Scheduler, Submission

_MAX_SETUP: Final = 2**20
_JOBS: Final = "How the work is shared"
_CLUSTER: Final = "What a job gets"
_MODELS: Final = "What to run"


def submit(
    to: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=choice("slurm", "ray"),
            help="The scheduler: slurm or ray; has to be named.",
            show_default=False,
        ),
    ] = "",
    suite: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SUITE]",
            autocompletion=suites,
            help=defaulting("A suite file (.toml), or the name of one that ships.", "quick"),
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Folder of the results, which all machines of the cluster see."
        ),
    ] = Path("results"),
    print_only: Annotated[
        bool,
        typer.Option("--print", help="Write the script, print it, and submit nothing."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the script; write and submit nothing.")
    ] = False,
    plugin: PluginFiles = None,
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Of a data set that does not ship.", rich_help_panel=_MODELS
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=defaulting("cpu or cuda.", "the suite's"),
            rich_help_panel=_MODELS,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=defaulting("Torch threads of one cell.", "the suite's"),
            rich_help_panel=_MODELS,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=defaulting("Jobs that share the cells.", "as many as fill --hours each"),
            rich_help_panel=_JOBS,
        ),
    ] = None,
    cells_per_job: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Cells of a job, about; in place of --jobs.", rich_help_panel=_JOBS
        ),
    ] = None,
    at_once: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=defaulting("Jobs that may run at the same time.", "all"),
            rich_help_panel=_JOBS,
        ),
    ] = None,
    restarts: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="How often a job whose hours are over goes back into the queue.",
            rich_help_panel=_JOBS,
        ),
    ] = 10,
    workers: Annotated[
        int,
        typer.Option(metavar="N", help="Steps that a job makes at once.", rich_help_panel=_CLUSTER),
    ] = 1,
    hours: Annotated[
        float,
        typer.Option(metavar="X", help="Hours that a job may take.", rich_help_panel=_CLUSTER),
    ] = 24.0,
    partition: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Queue of the cluster.", rich_help_panel=_CLUSTER),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who pays.", rich_help_panel=_CLUSTER),
    ] = None,
    qos: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Quality of service.", rich_help_panel=_CLUSTER),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=defaulting("GPUs of a job.", "1 with the device cuda, else none"),
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    mem: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory of a job: 16G.", rich_help_panel=_CLUSTER),
    ] = None,
    setup: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LINE",
            help="Shell before the run, 'module load cuda', or a file of it. May be repeated.",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Another directive of Slurm: constraint=a100. May be repeated.",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help=defaulting("Where Ray takes jobs: http://HEAD:8265.", "RAY_ADDRESS"),
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
) -> None:
    """Hand a suite to the scheduler of a cluster, and return at once.

    Slurm gets an array of jobs. Each is a 'hashbench run' of the whole suite in one folder; runs
    share the work among themselves, so what a lost job leaves is made by the others, and a job
    whose hours are over waits for more. Ray gets one job, whose steps it spreads over its machines.
    The suite is kept as it is now, in FOLDER/submitted: editing its file changes no job. The same
    command submits what is still missing; where nothing is, it says so.

    For example:

      hashbench submit zoo --to slurm --partition gpu --device cuda --out zoo
      hashbench submit mine.toml --to slurm --jobs 8 --workers 4 --hours 12
      hashbench submit mine.toml --to slurm --setup 'module load cuda' --print
      hashbench submit mine.toml --to ray --address http://head:8265 --workers 16
    """
    from hashbench.results.store import Store
    from hashbench.runner.submitting.contract import Asked
    from hashbench.runner.submitting.lookup import find_scheduler
    from hashbench.runner.submitting.notes import SUBMITTED
    from hashbench.runner.submitting.sending import check_program
    from hashbench.runner.submitting.slurm import LOGS

    scheduler = find_scheduler(to)
    asked = Asked(
        workers=workers,
        jobs=jobs,
        cells=cells_per_job,
        hours=hours,
        gpus=gpus,
        memory=mem,
        partition=partition,
        account=account,
        qos=qos,
        at_once=at_once,
        restarts=restarts,
        extra=_settings(sbatch),
        setup=tuple(_setup(setup or ())),
        address=address,
    )
    named = only_suite(suite, sys.argv[1:])
    out = Path(at_home(str(out), "--out")).absolute()
    _refuse_bytes("--out", out)
    _refuse_bytes("the working folder", Path.cwd())
    refuse_folder(out)
    Store(out).refuse_links(SUBMITTED, LOGS)
    scheduler.check(asked, out)
    if not (print_only or dry_run):
        check_program(scheduler, to)
    options: dict[str, Any] = {
        name: value for name, value in (("plugin", plugin), ("root", root)) if value
    }
    compute = (("device", device), ("threads", threads))
    options["compute"] = {name: value for name, value in compute if value is not None}
    submission, text = _laid_out(named, options, out, asked, scheduler)
    notes = for_notes()
    if submission is None:
        say_folded(notes, f"Nothing to submit: {text} in {out}.")
        return
    script = scheduler.script(submission)
    if dry_run:
        _print(script)
        return
    from hashbench.atomic import write_file

    place = submission.suite.with_suffix(".sh")
    write_file(submission.suite, text.encode())
    write_file(place, script.encode())
    if scheduler.several:
        (out / LOGS).mkdir(exist_ok=True)  # Slurm makes no folder
    if print_only:
        _print(script)
        command = shlex.join(scheduler.command(submission, place))
        say_folded(notes, f"Nothing was submitted; this does: {command}")
        return
    _send(scheduler, submission, place, to)


def _laid_out(
    named: str | None,
    options: dict[str, Any],
    out: Path,
    asked: Asked,
    scheduler: Scheduler,
) -> tuple[Submission | None, str]:
    """The jobs, and their suite as text; or none, and why there is nothing to do."""
    from hashbench.results.store import Store
    from hashbench.runner.estimate import estimate
    from hashbench.runner.plan import make_plan
    from hashbench.runner.run import missing_steps
    from hashbench.runner.submitting.contract import Submission
    from hashbench.runner.submitting.frozen import frozen, job_name
    from hashbench.runner.submitting.notes import SUBMITTED
    from hashbench.runner.submitting.sizing import jobs_for
    from hashbench.runner.suite import compose

    notes = for_notes()
    with about_suite(named), image_bar(notes) as progress:
        plan = make_plan(compose(named, options), progress)
    warn_of_broken(notes)
    for words in plan.left_out:
        say_folded(notes, f"{words}.")
    text = frozen(plan.suite)
    missing = missing_steps(plan, Store(out))
    if not missing:
        return None, f"all {counted(len(plan.cells), 'cell')} of {plan.suite.name} are finished"
    with about_suite(named):
        ahead = estimate(missing)  # what cannot work is told now, not by a job in the night
    keys = {step.key for step in missing}
    cells = max(1, sum(planned.scores.key in keys for planned in plan.cells))
    seconds = ahead.seconds if ahead.measured else None
    count = jobs_for(cells, asked, seconds) if scheduler.several else 1
    took = "" if seconds is None else f", about {duration(seconds)} for one worker on this machine"
    say_folded(notes, f"{counted(cells, 'cell')} to make{took}: {counted(count, 'job')}.")
    name = job_name(plan.suite, text)
    return Submission(
        name=name,
        suite=out / SUBMITTED / f"{name}.toml",
        out=out,
        folder=Path.cwd(),
        jobs=count,
        cells=cells,
        threads=plan.suite.compute.threads,
        device=plan.suite.compute.device,
        asked=asked,
    ), text


def _send(scheduler: Scheduler, submission: Submission, script: Path, to: str) -> None:
    from hashbench.runner.submitting.contract import SubmissionError
    from hashbench.runner.submitting.notes import add_note, notes_of
    from hashbench.runner.submitting.sending import send

    notes, screen = for_notes(), for_answers()
    before = notes_of(submission.out, submission.name)
    if before:
        last = before[-1]
        say_folded(
            notes,
            f"Submitted before, the last time {last.when} as {last.to} job {last.job}: where that "
            "is still there, the new jobs share its work.",
        )
    try:
        job = send(scheduler, submission, script)
    except SubmissionError as error:
        notes.say(f"Error: {' '.join(str(error).splitlines())}", style="red")
        raise typer.Exit(EXIT_FAILED) from None
    add_note(submission.out, submission.name, to, job, submission.jobs, submission.cells)
    said = f"{to} job {job}" if job else f"{to}, which told no number of it"
    say_folded(
        screen,
        f"Submitted as {said}: {counted(submission.jobs, 'job')} for "
        f"{counted(submission.cells, 'cell')} in {submission.out}.",
    )


def _settings(sbatch: Sequence[str] | None) -> dict[str, str]:
    """What `--sbatch KEY=VALUE` says, by name; a setting without a value has an empty one."""
    found: dict[str, str] = {}
    for word in sbatch or ():
        name, _, value = word.removeprefix("--").partition("=")
        if name in found:
            raise UsageError(f"--sbatch {shortened(shown(name))} is given twice")
        found[name] = value
    return found


def _setup(words: Iterable[str]) -> list[str]:
    """The lines of `--setup`: a file is taken as it is now."""
    from hashbench.files import read_text

    lines: list[str] = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            raise UsageError(
                f"--setup {shortened(shown(word))}: it is a folder; name a file of shell, or write "
                "a line of it"
            )
        if path.suffix == ".sh" and len(word.split()) == 1 and not path.is_file():
            raise UsageError(
                f"--setup {shortened(shown(word))}: no such file here; 'source FILE' is the line "
                "for one that only the jobs see"
            )
        try:
            lines += read_text(path, _MAX_SETUP).splitlines() if path.is_file() else [word]
        except (OSError, ValueError) as error:
            reason = error if isinstance(error, FileError) else getattr(error, "strerror", error)
            raise UsageError(f"--setup {shortened(shown(word))}: {reason}") from None
        if any("\0" in line for line in lines):
            raise UsageError(f"--setup {shortened(shown(word))}: it holds a character of no shell")
    return lines


def _refuse_bytes(what: str, path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{what} {shown(str(path))}: no name in UTF-8, and a job needs one"
        ) from None


def _print(script: str) -> None:
    """A script: to the byte where a program reads it, as text on a terminal."""
    screen = for_answers()
    if screen.is_terminal:
        for line in script.split("\n")[:-1]:
            screen.say(line)
    else:
        sys.stdout.buffer.write(script.encode())
        sys.stdout.flush()
