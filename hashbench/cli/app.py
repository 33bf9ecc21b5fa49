"""The command `hashbench`: its sub-commands, and how errors become exit codes.

Nothing heavy is imported at the top, here and in every command: `hashbench --help` must not wait
for torch.
"""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from typer import rich_utils

from hashbench import standard_streams
from hashbench.characters import shortened, shown
from hashbench.cli.check import check
from hashbench.cli.cite import cite
from hashbench.cli.data import app as data_app
from hashbench.cli.debug import OPTION, ask, say_traceback, without_option
from hashbench.cli.doctor import doctor
from hashbench.cli.ended import Listener, leave
from hashbench.cli.explain import explain
from hashbench.cli.export_images import export_images
from hashbench.cli.helped import HelpedGroup, use_helped_commands
from hashbench.cli.lookup import lookup
from hashbench.cli.match import match
from hashbench.cli.model import app as model_app
from hashbench.cli.new import new
from hashbench.cli.options import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, LONGEST_PATH
from hashbench.cli.report import report
from hashbench.cli.run import run
from hashbench.cli.screen import for_notes
from hashbench.cli.show import plugins, show, suites
from hashbench.cli.slips import refuse_slips
from hashbench.cli.status import status
from hashbench.cli.store import app as store_app
from hashbench.cli.submit import submit
from hashbench.cli.train import train
from hashbench.errors import (
    ModelError,
    NoRoomError,
    PluginError,
    ProcessesError,
    StepFailedError,
    StoreError,
    UsageError,
)

app = typer.Typer(
    cls=HelpedGroup,
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A benchmark of adversarial robustness for deep hashing retrieval.",
    epilog="Start with [bold]hashbench run[/bold], then [bold]hashbench report[/bold].",
)

app.add_typer(model_app, name="model", cls=HelpedGroup)
app.add_typer(data_app, name="data", cls=HelpedGroup)
app.add_typer(store_app, name="store", cls=HelpedGroup)
for command in (
    run,
    match,
    submit,
    train,
    report,
    status,
    explain,
    lookup,
    export_images,
    doctor,
    suites,
    plugins,
    show,
    cite,
    check,
    new,
):
    app.command()(command)
use_helped_commands(app, model_app, data_app, store_app)


_TYPED: Final = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
"""Errors of a path that no file can have: what was typed is wrong. A full disk is nobody's word."""

_ParserError: Final[type[Exception]] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)
"""What typer raises of words that it cannot read; it has no public name there."""


def main() -> None:
    """Entry point of the `hashbench` command: turns errors into one sentence and an exit code."""
    standard_streams.use_patient_streams()
    ended = Listener()
    try:
        with errors_as_exit_codes():
            sys.argv[1:] = without_option(sys.argv[1:])
            refuse_slips(sys.argv[1:])
            code = app(standalone_mode=False) or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else EXIT_FAILED
    if code == EXIT_INTERRUPTED and ended.heard is not None:
        for_notes().say(f"Ended by {signal.Signals(ended.heard).name}.")
        code = 128 + ended.heard
    if (trouble := standard_streams.trouble_of_output()) is not None:
        for_notes().say(f"Error: standard output: {trouble.strerror}", style="red")
        code = code or EXIT_FAILED
    leave(code)


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Print an error that a person can mend as one sentence, and exit with its code."""
    try:
        yield
    except _ParserError as error:
        error.message = shown(error.message, keep="\n")  # type: ignore[attr-defined]
        rich_utils.rich_format_error(error)  # type: ignore[arg-type]
        sys.exit(EXIT_USAGE)
    except (UsageError, PluginError, StoreError, ModelError) as error:
        say_traceback(for_notes(), error)
        _say_error(str(error))
        sys.exit(EXIT_USAGE)
    except (NoRoomError, ProcessesError, StepFailedError) as error:
        say_traceback(for_notes(), error)
        _say_error(str(error))
        sys.exit(EXIT_FAILED)
    except OSError as error:
        say_traceback(for_notes(), error)
        where = f"{shortened(str(error.filename), LONGEST_PATH)}: " if error.filename else ""
        _say_error(f"{where}{error.strerror or error}")
        sys.exit(EXIT_USAGE if error.errno in _TYPED else EXIT_FAILED)


def _say_error(sentence: str) -> None:
    for_notes().say(f"Error: {' '.join(sentence.splitlines())}", style="red")


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool,
        typer.Option(
            OPTION, help="With any command, before or behind it: print tracebacks of what fails."
        ),
    ] = False,
) -> None:
    if debug:
        ask()
    if version:
        from importlib.metadata import version as version_of

        sys.stdout.write(f"hashbench {version_of('hashbench')}\n")
        raise typer.Exit
