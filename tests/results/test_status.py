"""`hashbench status`: what is done, who is at work, and nothing of it changes the folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner
from typing_extensions import override

from hashbench.cli.app import app
from hashbench.errors import UsageError
from hashbench.results.address import Address
from hashbench.results.cell import Cell
from hashbench.results.claims import Claims
from hashbench.results.holders import Holder, this_process
from hashbench.results.load import load_results
from hashbench.results.made_by import host
from hashbench.results.planned import StoredCell, stored_plans
from hashbench.results.status import CellState, Life, status_of
from hashbench.results.store import Failure, Store
from hashbench.results.sums import SCHEMA, sealed

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


class Still(Claims):
    """Claims whose heart does not beat."""

    @override
    def _beat(self) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Finished results of the current format, whose plan names no cell that failed."""
    found = Path(shutil.copytree(GOLDEN / f"format-{SCHEMA}" / "results", tmp_path / "results"))
    results = load_results(found)
    done = {one.cell for one in results.cells} - {one.cell for one in results.failed}
    for path in (found / "plans").iterdir():
        plan = json.loads(path.read_text())
        plan["cells"] = [one for one in plan["cells"] if Cell(**one["cell"]) in done]
        path.write_text(json.dumps(sealed(plan)))
    return found


@pytest.fixture
def cells(folder: Path) -> list[StoredCell]:
    """What its plans ask for, each cell once."""
    plans = stored_plans(Store(folder))
    return list({one.cell: one for plan in plans for one in plan.cells}.values())


@pytest.fixture
def take(folder: Path) -> Iterator[Callable[..., None]]:
    """Takes a claim for a run of some process: (address, label, holder=...)."""
    made: list[Claims] = []

    def taken(step: Address, label: str, holder: Holder | None = None) -> None:
        made.append(Still(folder, holder=holder))
        assert made[-1].take(step.key, label)

    yield taken
    for claims in made:
        with closing(claims):
            pass


def remove(folder: Path, *cells: StoredCell) -> None:
    for cell in cells:
        shutil.rmtree(folder / cell.scores.path)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_is_done(folder: Path, cells: list[StoredCell]) -> None:
    before = content(folder)
    found = status_of(folder)
    assert found.cells == {
        CellState.DONE: len(cells),
        CellState.AT_WORK: 0,
        CellState.FAILED: 0,
        CellState.WAITING: 0,
    }
    assert not found.runs
    assert not found.failed
    assert not found.troubles
    assert content(folder) == before
    said = CliRunner().invoke(app, ["status", str(folder)])
    assert said.exit_code == 0
    assert said.output.startswith(f"{folder}: {len(cells)} cells: {len(cells)} done\n")


def test_each_cell_is_in_one_state(
    folder: Path, cells: list[StoredCell], take: Callable[..., None]
) -> None:
    made, failed, waits = cells[-3:]
    remove(folder, made, failed, waits)
    take(made.scores, "score it")
    Store(folder).fail(failed.scores, Failure("no luck \x1b[31m"))
    found = status_of(folder)
    assert list(found.cells.values()) == [len(cells) - 3, 1, 1, 1]
    assert found.failed == ((failed.cell, "no luck \x1b[31m"),)
    (run,) = found.runs
    assert (run.life, run.pid, run.steps) == (Life.ALIVE, os.getpid(), ("score it",))
    said = CliRunner().invoke(app, ["status", str(folder)])
    assert said.exit_code == 1
    assert f"{len(cells) - 3} done, 1 at work, 1 failed, 1 waiting" in said.output
    assert "no luck \\x1b[31m" in said.output
    assert "\x1b" not in said.output


def test_a_cell_is_at_work_while_something_that_it_needs_is_made_again(
    folder: Path, cells: list[StoredCell], take: Callable[..., None]
) -> None:
    cell = cells[-1]
    remove(folder, cell)
    Store(folder).fail(cell.steps[0], Failure("it was tried before"))
    take(cell.steps[0], "train it")
    assert status_of(folder).cells[CellState.AT_WORK] == 1


def test_a_damaged_result_is_not_done(folder: Path, cells: list[StoredCell]) -> None:
    path = folder / cells[0].scores.path / "done.json"
    path.write_bytes(path.read_bytes()[:-5])
    assert status_of(folder).cells[CellState.WAITING] == 1


def test_runs_of_this_machine_and_of_others(
    folder: Path, cells: list[StoredCell], take: Callable[..., None]
) -> None:
    """Of another machine its signs are believed for a lease, of this one the system knows."""
    one, two, three = (cell.scores for cell in cells[:3])
    take(one, "here", replace(this_process(), began="1"))
    take(two, "far \u202e", Holder("ada", "x", 7, "1"))
    take(three, "silent", Holder("bob", "y", 8, "1"))
    (path,) = [path for path in (folder / "claims").iterdir() if three.key[:20] in path.name]
    now = path.stat().st_mtime
    os.utime(path, (now - 400, now - 400))
    runs = {run.host: run for run in status_of(folder, now).runs}
    assert runs[host()].life is (Life.GONE if this_process().machine else Life.ALIVE)
    assert (runs["ada"].life, runs["ada"].pid) == (Life.ALIVE, 7)
    assert 0 < runs["ada"].left <= runs["ada"].lease == 60
    assert (runs["bob"].life, runs["bob"].left) == (Life.SILENT, 0)
    assert runs["bob"].silent == pytest.approx(400, abs=1e-6)
    said = CliRunner().invoke(app, ["status", str(folder)]).output
    assert "at work: process 7 on ada, since 20" in said
    assert "  far \\u202e\n" in said
    assert "SILENT: process 8 on bob" in said
    assert "last sign 7 min ago; what it held may be taken over" in said


def test_a_step_of_a_run_that_is_gone_or_silent_waits(
    folder: Path, cells: list[StoredCell], take: Callable[..., None]
) -> None:
    for cell in cells[-3:]:
        remove(folder, cell)
    gone, silent, made = (cell.scores for cell in cells[-3:])
    take(gone, "gone", replace(this_process(), began="1"))
    take(silent, "silent", Holder("bob", "y", 8, "1"))
    (path,) = [path for path in (folder / "claims").iterdir() if silent.key[:20] in path.name]
    now = path.stat().st_mtime
    os.utime(path, (now - 400, now - 400))
    take(made, "made", Holder("ada", "x", 7, "1"))
    found = status_of(folder, now).cells
    alone = 1 if this_process().machine else 2  # without a machine's name nobody is known gone
    assert found[CellState.AT_WORK] == alone
    assert found[CellState.WAITING] == 3 - alone


@pytest.mark.parametrize("junk", [b"", b"{}", b"[" * 10_000, b"\xff", b'{"lease": NaN}'])
def test_a_damaged_claim_is_of_nobody(folder: Path, junk: bytes) -> None:
    (folder / "claims").mkdir()
    (folder / "claims" / f"{'a' * 20}.1.json").write_bytes(junk)
    (folder / "claims" / f"{'b' * 20}.1.json").mkdir()
    said = CliRunner().invoke(app, ["status", str(folder)])
    assert said.exit_code == 0
    assert said.output.count("at work: an unknown run") == 2
    assert said.output.count("a claim that cannot be read") == 2


def test_machines_of_finished_cells(folder: Path, cells: list[StoredCell]) -> None:
    assert status_of(folder).hosts == {}  # of a version that did not say
    store, scores = Store(folder), cells[0].scores
    artifact = store.artifact(scores)
    assert artifact is not None
    files = {name: artifact.read(name) for name in artifact.record["files"]}
    remove(folder, cells[0])
    store.write(scores, files, {})
    assert status_of(folder).hosts == {host(): 1}
    assert f"scored on {host()} 1" in CliRunner().invoke(app, ["status", str(folder)]).output


def test_for_programs(folder: Path, cells: list[StoredCell]) -> None:
    remove(folder, cells[-1])
    Store(folder).fail(cells[-1].scores, Failure("no luck"))
    said = CliRunner().invoke(app, ["status", str(folder), "--json"])
    plain = json.loads(said.output)
    assert said.exit_code == 1
    assert plain["cells"]["failed"] == 1
    assert plain["failed"] == [{"cell": vars(cells[-1].cell), "reason": "no luck"}]
    assert sum(plain["cells"].values()) == len(cells)
    plans = list(stored_plans(Store(folder)))
    assert [one["number"] for one in plain["suites"]] == [plan.number for plan in plans]
    for suite, plan in zip(plain["suites"], plans, strict=True):
        assert sum(suite["cells"].values()) == len(plan.cells)


@pytest.mark.parametrize("what", ["nothing", "a file", "an empty folder"])
def test_a_folder_without_results_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x"
    if what == "a file":
        path.write_text("")
    if what == "an empty folder":
        path.mkdir()
    with pytest.raises(UsageError, match=f"folder {path}: "):
        status_of(path)
