"""`hashbench submit`: the jobs of a cluster make the grid, and what they make is that of a run."""

from __future__ import annotations

import csv
import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.fake_slurm import Queue, directives, installed

from .conftest import SUITE, arguments, environment

TINY = Path(__file__).parent / "tiny_data.py"
FEW = f"""
name = "few"
dataset = "tiny"
bits = 16
defense = ["none", "jpeg"]
attack = ["noise", "hag:steps=1"]
plugin = ["{TINY}"]

[training]
epochs = 1
"""
"""6 cells."""

Submit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return installed(tmp_path / "slurm")


@pytest.fixture
def submit(queue: Queue, tmp_path: Path) -> Submit:
    """Run a hashbench command where there is a Slurm."""

    def run(
        *words: str | Path, expect: int = 0, cwd: Path = tmp_path, slurm: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            arguments(*words),
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**environment(), **queue.environment} if slurm else environment(),
            check=False,
        )
        assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    return run


def made(queue: Queue, script: Path) -> None:
    """All jobs of an array, one after the other."""
    for index in queue.indices(script):
        assert queue.start(script, index).wait() == 0, "\n".join(
            log.read_text() for log in script.parent.parent.rglob("logs/*.log")
        )


@pytest.mark.slow
def test_jobs_make_the_grid_of_a_run(
    submit: Submit, queue: Queue, reference: bytes, tmp_path: Path
) -> None:
    """From the queue's shell to the table; the suite's file is edited and deleted in between."""
    suite = tmp_path / "small.toml"
    suite.write_text(SUITE)
    said = submit("submit", suite, "--to", "slurm", "--jobs", "2", "--out", "shared")
    assert "Submitted as slurm job 4711: 2 jobs for 30 cells" in said.stdout
    suite.write_text(SUITE.replace("16", "32"))
    (script,) = queue.scripts
    made(queue, script)
    suite.unlink()
    assert submit("report", "shared", "--format", "csv").stdout.encode() == reference
    logs = sorted(path.name for path in (tmp_path / "shared/logs").iterdir())
    assert [log[-6:] for log in logs] == ["_0.log", "_1.log"]


def test_what_is_finished_is_not_submitted(submit: Submit, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "few.toml").write_text(FEW)
    words = ("submit", "few.toml", "--to", "slurm", "--jobs", "1")
    submit(*words)
    again = submit(*words)  # nothing is made yet
    assert "Submitted before" in again.stderr
    assert "slurm job 4711" in again.stderr
    assert len(queue.scripts) == 2
    made(queue, queue.scripts[0])
    done = submit(*words)
    assert "Nothing to submit: all 6 cells of few are finished" in done.stderr
    assert not done.stdout
    assert len(queue.scripts) == 2
    more = submit(*words, "--threads", "2")  # another suite
    assert "6 cells" in more.stdout
    assert "Submitted before" not in more.stderr


def test_paths_stay_those_of_the_folder_it_was_submitted_from(
    submit: Submit, queue: Queue, tmp_path: Path
) -> None:
    """A plugin, and a path among parameters, which is part of what a result is stored under."""
    home = tmp_path / "home"
    (home / "suites").mkdir(parents=True)
    (home / "suites/few.toml").write_text(FEW.replace(str(TINY), "own.py"))
    (home / "suites/own.py").write_text(TINY.read_text())
    submit("submit", "suites/few.toml", "--to", "slurm", "--jobs", "1", cwd=home)
    made(queue, queue.scripts[0])
    told = submit("run", "suites/few.toml", cwd=home).stderr
    assert "0 steps to do" in told, "a run finds all that the jobs have made"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["it's a b", "$(touch hurt)`touch hurt`;touch hurt;", "50%A ä#b", "-rf"]
)
def test_hostile_names(submit: Submit, queue: Queue, tmp_path: Path, name: str) -> None:
    """Of the folder that it is submitted from, of the results, of the suite and its file."""
    home = tmp_path / name
    home.mkdir()
    few = FEW.replace('name = "few"', f'name = "{name}"').replace('"noise", "hag:steps=1"', "")
    (home / f"{name}.toml").write_text(few)
    submit(
        "submit", "--to", "slurm", "--jobs", "1", "--out", f"./{name}", f"./{name}.toml", cwd=home
    )
    made(queue, queue.scripts[0])
    assert not list(tmp_path.rglob("hurt"))
    table = submit("report", f"./{name}", "--format", "csv", cwd=home).stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {(row["defense"], row["attack"]) for row in rows} == {("none", "none"), ("jpeg", "none")}
    assert {row["status"] for row in rows} == {"done"}
    assert list((home / name / "logs").glob("*_0.log"))


def test_a_folder_with_a_line_break(submit: Submit, queue: Queue, tmp_path: Path) -> None:
    """Bash can be told of it, a directive cannot."""
    home = tmp_path / "a\n#SBATCH --partition=theirs\nb"
    home.mkdir()
    (home / "few.toml").write_text(FEW.replace('"noise", "hag:steps=1"', ""))
    said = submit("submit", "few.toml", "--to", "slurm", cwd=home, expect=2)
    assert "which a directive of Slurm cannot hold" in said.stderr
    submit("submit", "few.toml", "--to", "slurm", "--out", tmp_path / "out", cwd=home)
    assert "partition" not in directives(queue.scripts[0].read_text())
    made(queue, queue.scripts[0])


def test_a_queue_that_refuses(submit: Submit, queue: Queue, tmp_path: Path) -> None:
    (queue.folder / "closed").touch()
    said = submit("submit", "--to", "slurm", "--jobs", "1", "--out", "mine", expect=1)
    assert "sbatch did not take it (exit code 1)" in said.stderr.replace("\n", " ")
    assert "Invalid account" in said.stderr
    assert not said.stdout
    assert not list((tmp_path / "mine/submitted").glob("*.json")), "nothing was submitted"


def test_without_a_scheduler(submit: Submit, tmp_path: Path) -> None:
    said = submit("submit", "--to", "slurm", "--jobs", "1", slurm=False, expect=2)
    assert "there is no program 'sbatch' here" in said.stderr
    assert not (tmp_path / "results").exists()
    told = submit("submit", "--to", "slurm", "--jobs", "1", "--dry-run", slurm=False)
    assert not (tmp_path / "results").exists()
    printed = submit("submit", "--to", "slurm", "--jobs", "1", "--print", slurm=False)
    assert printed.stdout == told.stdout
    (script,) = (tmp_path / "results/submitted").glob("*.sh")
    assert script.read_text() == printed.stdout
    assert f"sbatch --parsable {script}" in printed.stderr
    assert (tmp_path / "results/logs").is_dir()


def test_ray_gets_one_job(submit: Submit, queue: Queue, tmp_path: Path) -> None:
    """The program is given words as its manual says, and its answer is read."""
    ray = queue.folder / "ray"
    ray.write_text(
        "#!/bin/bash\n"
        'printf "%s\\n" "$@" > "$FAKE_SLURM/words"\n'
        "echo '-------------------------------------------------------'\n"
        "echo \"Job 'hashbench-x-1' submitted successfully\"\n"
    )
    ray.chmod(0o755)
    words = ("--workers", "4", "--address", "http://head:8265", "--out", "a b")
    said = submit("submit", "--to", "ray", *words)
    assert "Submitted as ray job hashbench-x-1: 1 job for 32 cells" in said.stdout
    told = (queue.folder / "words").read_text().splitlines()
    (script,) = (tmp_path / "a b/submitted").glob("*.sh")
    assert told[:5] == ["job", "submit", "--no-wait", "--address", "http://head:8265"]
    assert told[5] == "--submission-id"
    assert told[6].startswith(script.stem)
    assert told[7:] == ["--", "bash", str(script)]
    assert script.read_text().endswith("--workers 4 --engine ray --address auto\n")
    subprocess.run(["bash", "-n", script], check=True)
    refused = submit("submit", "--to", "ray", "--partition", "gpu", expect=2)
    assert "--partition: Ray gets one job" in refused.stderr
    refused = submit("submit", "--to", "ray", "--out", "a$b", expect=2)
    assert "'$'" in refused.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "slrum"], "did you mean 'slurm'?"),
        (["--to", "slurm", "--jobs", "0"], "--jobs is 0, but must be from 1 to"),
        (["--to", "slurm", "--jobs", "2", "--cells-per-job", "9"], "say the same thing twice"),
        (["--to", "slurm", "--hours", "nan"], "--hours is nan"),
        (["--to", "slurm", "--partition", "a b"], "--partition 'a b' holds the character ' '"),
        (["--to", "slurm", "--partition", "gpu\n#x"], "--partition"),
        (["--to", "slurm", "--sbatch", "array=0-9"], "--sbatch array: --jobs and --at-once say it"),
        (["--to", "slurm", "--sbatch", "A=b"], "named as in sbatch's manual"),
        (["--to", "slurm", "--sbatch", "mem=1", "--sbatch", "mem=2"], "is given twice"),
        (["--to", "slurm", "--sbatch", 'comment=a"b'], "cannot hold"),
        (["--to", "slurm", "--address", "x"], "--to ray submits to a cluster by address"),
        (["--to", "slurm", "--setup", "/"], "--setup /: it is a folder"),
        (["--to", "slurm", "--setup", "modules.sh"], "--setup modules.sh: no such file here"),
        (["--to", "slurm", "nosuch"], "no such file, and no suite of that name"),
        (["--to", "slurm", "--out", "slurm/sbatch"], "it is a file"),
    ],
)
def test_wrong_words(submit: Submit, words: list[str], sentence: str, tmp_path: Path) -> None:
    said = submit("submit", *words, expect=2)
    assert sentence in said.stderr.replace("\n", " ")
    assert not (tmp_path / "results").exists()
    assert len(said.stderr) < 600


def test_a_folder_that_cannot_be_written(submit: Submit, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "shut").mkdir(mode=0o555)
    said = submit("submit", "--to", "slurm", "--jobs", "1", "--out", "shut/out", expect=1)
    assert "shut/out" in said.stderr


@pytest.mark.slow
def test_jobs_at_the_same_time_share_the_work(
    submit: Submit, queue: Queue, reference: bytes, tmp_path: Path
) -> None:
    (tmp_path / "small.toml").write_text(SUITE)
    submit("submit", "small.toml", "--to", "slurm", "--jobs", "3", "--out", "shared")
    (script,) = queue.scripts
    running = [queue.start(script, index) for index in queue.indices(script)]
    assert [job.wait() for job in running] == [0, 0, 0]
    assert submit("report", "shared", "--format", "csv").stdout.encode() == reference
