"""The command `hashbench doctor`: read options, ask the probes, print what they found.

Nothing heavy is imported at the top, as in `hashbench.cli.app`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashbench.characters import shortened
from hashbench.cli.options import EXIT_FAILED
from hashbench.cli.screen import for_answers, for_notes, print_trimmed
from hashbench.errors import UsageError
from hashbench.plugins.paths import at_home

if TYPE_CHECKING:
    from hashbench.console import TextConsole
    from hashbench.doctor.finding import Finding


def doctor(
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the shipped model: a few seconds.")
    ] = False,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="cpu; or cuda, to compare there as well.")
    ] = "cpu",
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where results are going to be written.")
    ] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Say whether this installation is right. Exit code 1 if something is not.

    Versions, devices, plugins, folders, memory and disk; then a small model that ships is attacked,
    and must give the values that are stated of it: about 15 seconds. No folder is made.
    """
    from hashbench.doctor.examination import Asked, examined
    from hashbench.doctor.finding import State
    from hashbench.doctor.packages import versions

    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device is '{shortened(device)}', expected cpu or cuda")
    screen, notes = for_answers(), for_notes()
    asked = Asked(Path(at_home(str(out), "--out")), device, quick)
    found: list[Finding] = []
    said_so = quick
    for finding in examined(asked):
        found.append(finding)
        if not as_json:
            _print(screen, finding)
        if finding.subject == "cuda" and not said_so:
            said_so = True
            notes.say("attacking the shipped model: about 15 s", style="dim")
    wrong = sum(finding.state is State.WRONG for finding in found)
    if as_json:
        answer = {
            "right": not wrong,
            "versions": versions(),
            "findings": [
                {"subject": one.subject, "state": one.state.value.lower(), "text": one.text}
                for one in found
            ],
        }
        screen.file.write(json.dumps(answer, indent=2) + "\n")
    else:
        noted = sum(finding.state is State.NOTE for finding in found)
        _print_verdict(screen, wrong, noted, quick=quick)
    if wrong:
        raise typer.Exit(EXIT_FAILED)


def _print(screen: TextConsole, finding: Finding) -> None:
    """One finding: folded on a terminal, one whole line elsewhere, for `grep`."""
    from rich.table import Table
    from rich.text import Text

    from hashbench.doctor.finding import State

    style = {State.OK: "green", State.NOTE: "yellow", State.WRONG: "red"}[finding.state]
    if not screen.is_terminal:
        screen.say(f"{finding.state:5}  {finding.subject:17}  {finding.text}")
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=5)
    table.add_column(width=17)
    table.add_column(overflow="fold")
    table.add_row(Text(finding.state, style=style), Text(finding.subject), Text(finding.text))
    print_trimmed(screen, table)


def _print_verdict(screen: TextConsole, wrong: int, noted: int, *, quick: bool) -> None:
    if wrong:
        lines = "line says" if wrong == 1 else "lines say"
        screen.say(f"{wrong} {lines} WRONG, and what to do.", style="red")
    elif quick:
        screen.say("Nothing is wrong so far; without --quick the shipped model is attacked too.")
    elif noted:
        lines = "1 line is a note" if noted == 1 else f"{noted} lines are notes"
        screen.say(f"Nothing is wrong that can be told; {lines}, to be read.", style="yellow")
    else:
        screen.say("This installation is right.", style="green")
