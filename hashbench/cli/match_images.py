"""What `hashbench match --export-images` writes: every file that succeeds, by hash, attack, eps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hashbench.characters import counted
from hashbench.cli.named import make_folder, refuse_folder, write_file
from hashbench.errors import FileError, StoreError, UsageError
from hashbench.results.matches.kept import kept_pictures

if TYPE_CHECKING:
    from hashbench.console import TextConsole
    from hashbench.results.store import Store
    from hashbench.runner.matching.plan import MatchRun


def refuse_export(folder: Path) -> None:
    """Make sure that files can be written to a folder of their own.

    Raises:
        UsageError: it holds something already, or there can be no such folder.
    """
    refuse_folder(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(
            f"--export-images {folder}: there is something in it already, which would be taken for "
            "files of this run; name a new folder"
        )


def write_files(plan: MatchRun, store: Store, folder: Path, notes: TextConsole) -> bool:
    """Write every file that succeeds; whether all cells have theirs.

    Args:
        plan: of the run.
        store: where they are kept.
        folder: where to.
        notes: told how many they are, and of those that are not there.
    """
    from hashbench.matching.export_names import export_name, file_names

    good, count = True, 0
    for files in plan.images:
        cell = files.attacked.cell
        try:
            kept = kept_pictures(store, files.address)
        except (FileError, StoreError) as error:
            good = False
            notes.say(
                f"Not written: {cell.hash}, {cell.attack}, eps {cell.eps}: {error}", style="yellow"
            )
            continue
        for name, one in zip(file_names([one.name for one in kept]), kept, strict=True):
            path = folder / export_name(cell.hash, cell.attack, cell.eps, name)
            make_folder(path.parent)
            write_file(path, one.attacked)
        count += len(kept)
    notes.say(f"{counted(count, 'file')} in {folder}.")
    return good
