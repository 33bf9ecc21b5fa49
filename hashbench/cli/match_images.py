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


def refuse_export(folder: Path, out: Path) -> None:
    """Make sure that files can be written to a folder that is no part of the results.

    Args:
        folder: where to.
        out: of the results.

    Raises:
        UsageError: it is one, or there can be no such folder.
    """
    refuse_folder(folder)
    inside, results = folder.resolve(), out.resolve()
    if inside == results or results in inside.parents or inside in results.parents:
        raise UsageError(
            f"--export-images {folder}: it lies in the folder of the results {out}, or that in it; "
            "name one of its own"
        )


def write_files(plan: MatchRun, store: Store, folder: Path, notes: TextConsole) -> bool:
    """Write every file that succeeds; whether all cells have theirs.

    Args:
        plan: of the run.
        store: where they are kept.
        folder: where to.
        notes: told how many they are, and of those that are not there.
    """
    from hashbench.matching.export_names import export_folder, file_names
    from hashbench.runner.matching.pictures import set_of
    from hashbench.runner.matching.run import files_not_kept

    reasons = {files.key: reason for files, reason in files_not_kept(plan, store)}
    good, count = True, 0
    for files in plan.images:
        cell = files.attacked.cell
        place = folder / export_folder(cell.hash, cell.attack, cell.eps)
        names = set_of(files.of.pictures).names
        # Of all pictures, so that each has the same name in every cell.
        named = dict(zip(names, file_names(names), strict=True))
        try:
            kept = kept_pictures(store, files.address)
            written = {place / named[one.name]: one.attacked for one in kept}
            if stale := [path for path in place.rglob("*.png") if path not in written]:
                raise FileError(f"{stale[0]} is no file of this run: move {place} away")
        except (FileError, StoreError) as error:
            good = False
            notes.say(
                f"Not written: {cell.hash}, {cell.attack}, eps {cell.eps}: "
                f"{reasons.get(files.key, str(error))}",
                style="yellow",
            )
            continue
        for path, content in written.items():
            make_folder(path.parent)
            write_file(path, content)
        count += len(written)
    notes.say(f"{counted(count, 'file')} in {folder}.")
    return good
