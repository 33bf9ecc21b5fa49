"""The command `hashbench`: its sub-commands, and how errors become exit codes.

Nothing heavy is imported at the top, here and in every command: `hashbench --help` must not wait
for torch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from hashbench.cli.check import check
from hashbench.cli.data import app as data_app
from hashbench.cli.model import app as model_app
from hashbench.cli.new import new
from hashbench.cli.options import EXIT_FAILED, EXIT_USAGE
from hashbench.cli.report import report
from hashbench.cli.run import run
from hashbench.cli.show import plugins, show
from hashbench.errors import ModelError, NoRoomError, StoreError, UsageError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A benchmark of adversarial robustness for deep hashing retrieval.",
    epilog="Start with [bold]hashbench run[/bold], then [bold]hashbench report[/bold].",
)

app.add_typer(model_app, name="model")
app.add_typer(data_app, name="data")
for command in (run, report, plugins, show, check, new):
    app.command()(command)


def main() -> None:
    """Entry point of the `hashbench` command: turns errors into one sentence and an exit code."""
    with errors_as_exit_codes():
        app()


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Print an error that a person can mend as one sentence, and exit with its code."""
    errors = Console(stderr=True)
    try:
        yield
    except (UsageError, StoreError, ModelError) as error:
        errors.print(f"Error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(EXIT_USAGE)
    except NoRoomError as error:
        errors.print(f"Error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(EXIT_FAILED)
    except OSError as error:
        # A full disk, a folder that may not be written to: not what was typed, so not code 2.
        where = f"{error.filename}: " if error.filename else ""
        errors.print(f"Error: {where}{error.strerror or error}", style="red", markup=False)
        sys.exit(EXIT_FAILED)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as version_of

        sys.stdout.write(f"hashbench {version_of('hashbench')}\n")
        raise typer.Exit
