"""Submissions: texts of scripts, what a job does when its time is over, suites kept as they are."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.errors import UsageError
from hashbench.runner.plan import make_plan
from hashbench.runner.submitting.contract import Asked, Submission
from hashbench.runner.submitting.frozen import frozen, job_name
from hashbench.runner.submitting.lookup import find_scheduler
from hashbench.runner.submitting.notes import Note, add_note, notes_of
from hashbench.runner.submitting.ray_jobs import RayJobs
from hashbench.runner.submitting.sizing import MOST_UNASKED, jobs_for
from hashbench.runner.submitting.slurm import Slurm
from hashbench.runner.suite import compose
from hashbench.runner.suite_files import shipped
from support.fake_slurm import Queue, directives, installed

FULL = Submission(
    name="hashbench-zoo-0123abcd",
    suite=Path("/scratch/my results/50%/submitted/hashbench-zoo-0123abcd.toml"),
    out=Path("/scratch/my results/50%"),
    folder=Path("/home/it's me"),
    jobs=12,
    cells=7_200,
    threads=2,
    device="cuda",
    asked=Asked(
        workers=4,
        hours=36.5,
        gpus=2,
        memory="64G",
        partition="gpu,long",
        account="group7",
        qos="high",
        at_once=3,
        restarts=5,
        extra={"constraint": "a100|h100", "exclusive": "", "cpus-per-task": "16"},
        setup=("module load cuda/12", "export HF_HOME=/scratch/hf"),
    ),
    python="/opt/env/bin/python",
)

SCRIPT = """\
#!/bin/bash
#SBATCH --job-name=hashbench-zoo-0123abcd
#SBATCH --array=0-11%3
#SBATCH --output="/scratch/my results/50%%/logs/hashbench-zoo-0123abcd-%A_%a.log"
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=64G
#SBATCH --gres=gpu:2
#SBATCH --time=36:30:00
#SBATCH --partition=gpu,long
#SBATCH --account=group7
#SBATCH --qos=high
#SBATCH --requeue
#SBATCH --signal=B:USR1@180
#SBATCH --constraint="a100|h100"
#SBATCH --exclusive

cd -- '/home/it'"'"'s me' || exit 1
module load cuda/12
export HF_HOME=/scratch/hf

# Slurm sends USR1 some minutes before the time is over, and TERM where the job is cancelled.
driver=
told=
over=
trap 'told=yes; over=yes; kill -TERM "$driver" 2>/dev/null' USR1
trap 'told=yes; kill -TERM "$driver" 2>/dev/null' TERM

/opt/env/bin/python -P -m hashbench run '/scratch/my results/50%/submitted/hashbench-zoo-0123abcd.toml' \
--out '/scratch/my results/50%' --workers 4 --devices 0,1 &
driver=$!
[ -z "$told" ] || kill -TERM "$driver"
wait "$driver"
code=$?
while [ -n "$told" ]; do  # a signal ends a wait before the run has ended
    told=
    wait "$driver"
    code=$?
done
restarts=5
if [ -n "$over" ] && [ "$code" -ne 0 ] &&
    [ "${SLURM_RESTART_COUNT:-0}" -lt "$restarts" ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
"""  # noqa: E501 - the text of a script, to the byte


def small(folder: Path, python: Path, asked: Asked | None = None) -> Submission:
    """One job that runs a program in place of Python."""
    (folder / "logs").mkdir(exist_ok=True)
    return Submission(
        name="hashbench-small",
        suite=folder / "small.toml",
        out=folder,
        folder=folder,
        jobs=1,
        cells=1,
        threads=1,
        device="cpu",
        asked=asked or Asked(),
        python=str(python),
    )


def test_the_script_of_an_array() -> None:
    Slurm().check(FULL.asked, FULL.out)
    assert Slurm().script(FULL) == SCRIPT
    found = directives(SCRIPT)
    assert found["output"] == "/scratch/my results/50%%/logs/hashbench-zoo-0123abcd-%A_%a.log"
    assert found["constraint"] == "a100|h100"
    subprocess.run(["bash", "-n"], input=SCRIPT.encode(), check=True)


def test_the_script_of_the_least() -> None:
    least = Submission("n", Path("/o/n.toml"), Path("/o"), Path("/"), 1, 1, 1, "cpu", Asked())
    found = directives(Slurm().script(least))
    assert found["array"] == "0-0"
    assert found["time"] == "24:00:00"
    assert not found.keys() & {"mem", "gres", "partition", "account", "qos"}
    on_a_card = Submission("n", Path("/o/n.toml"), Path("/o"), Path("/"), 1, 1, 1, "cuda", Asked())
    assert directives(Slurm().script(on_a_card))["gres"] == "gpu:1"
    assert "--devices" not in Slurm().script(on_a_card)


def test_the_script_of_a_ray_job() -> None:
    asked = Asked(workers=8, setup=("source env.sh",))
    one = Submission(
        "n", Path("/o/n.toml"), Path("/o"), Path("/a b"), 1, 9, 1, "cpu", asked, "/opt/python"
    )
    assert RayJobs().script(one) == (
        "#!/bin/bash\n"
        "cd -- '/a b' || exit 1\n"
        "source env.sh\n"
        "exec /opt/python -P -m hashbench run /o/n.toml --out /o --workers 8"
        " --engine ray --address auto\n"
    )


@pytest.mark.parametrize(
    ("answer", "job"),
    [("4711\n", "4711"), ("4711;cluster\n", "4711"), ("", ""), ("queued\n", ""), ("47 11", "")],
)
def test_the_number_of_a_job(answer: str, job: str) -> None:
    assert Slurm().job(answer) == job


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return installed(tmp_path / "slurm")


PATIENT = """#!/bin/bash
trap 'echo told; sleep 0.2; exit {code}' TERM
echo began
for _ in $(seq 300); do sleep 0.1; done
"""


@pytest.mark.parametrize(
    ("sent", "code", "restarts", "again"),
    [
        (signal.SIGUSR1, 143, 0, ["7_0"]),
        (signal.SIGUSR1, 143, 9, ["7_0"]),
        (signal.SIGUSR1, 143, 10, []),  # it was put back often enough
        (signal.SIGUSR1, 0, 0, []),  # all was done when it was told
        (signal.SIGTERM, 143, 0, []),  # cancelled by a person
    ],
)
def test_a_job_whose_time_is_over_ends_well_and_waits_for_more(
    queue: Queue, tmp_path: Path, sent: int, code: int, restarts: int, again: list[str]
) -> None:
    python = tmp_path / "python"
    python.write_text(PATIENT.format(code=code))
    python.chmod(0o755)
    script = tmp_path / "job-7.sh"
    script.write_text(Slurm().script(small(tmp_path, python)))
    job = queue.start(script, 0, restarts)
    log = tmp_path / "logs/hashbench-small-7_0.log"
    patience = time.monotonic() + 30
    while b"began" not in log.read_bytes():
        assert time.monotonic() < patience
        time.sleep(0.02)
    job.send_signal(sent)
    assert job.wait(timeout=30) == code, "that of the run, once it has ended"
    assert log.read_text().split() == ["began", "told"]
    assert queue.requeued == again


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_job_that_ends_by_itself(queue: Queue, tmp_path: Path, code: int) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/bash\nprintf "%s\\n" "$PWD" "$MINE" "$@"\nexit {code}\n')
    python.chmod(0o755)
    script = tmp_path / "job-7.sh"
    asked = Asked(setup=("export MINE='a  b'",))
    script.write_text(Slurm().script(small(tmp_path, python, asked)))
    assert queue.start(script, 0).wait(timeout=30) == code
    said = (tmp_path / "logs/hashbench-small-7_0.log").read_text().splitlines()
    assert said == [
        str(tmp_path), "a  b", "-P", "-m", "hashbench", "run", str(tmp_path / "small.toml"),
        "--out", str(tmp_path), "--workers", "1",
    ]  # fmt: skip
    assert queue.requeued == []


@pytest.mark.parametrize("name", ["quick", "controls", "transformations", "zoo"])
def test_a_suite_that_is_kept_asks_for_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name in shipped()
    plan = make_plan(compose(name, {}))
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "elsewhere/deep.toml"
    kept.parent.mkdir()
    kept.write_text(frozen(plan.suite))
    again = make_plan(compose(str(kept), {}))
    assert again.suite.to_plain() == plan.suite.to_plain()
    assert again.name == plan.name


def test_what_a_file_of_its_own_says_of_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative ones start from where the job runs, as they did when it was submitted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites/mine.toml").write_text(
        'root = "data"\nbackbone = "resnet18:weights=w.pth"\nattack = "noise"\n'
        "[training]\nepochs = 3\n[compute]\nthreads = 2\n"
    )
    suite = compose("suites/mine.toml", {})
    from hashbench.runner.resolve import at_working_folder

    suite = at_working_folder(suite)
    text = frozen(suite)
    assert 'paths_from = "working folder"' in text
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/it.toml").write_text(text)
    again = at_working_folder(compose("kept/it.toml", {}))
    assert again.to_plain() == suite.to_plain()
    assert again.to_plain()["backbone"] == ["resnet18:weights=suites/w.pth"]
    (tmp_path / "kept/it.toml").write_text('paths_from = "home"\nattack = "noise"\n')
    with pytest.raises(UsageError, match="paths_from can only be 'working folder'"):
        compose("kept/it.toml", {})


def test_a_path_that_is_no_text_is_refused() -> None:
    suite = compose(None, {"root": "/data/\udcff"})
    with pytest.raises(UsageError, match="no name in UTF-8"):
        frozen(suite)


@given(name=st.text(max_size=80))
def test_a_name_of_jobs_is_plain(name: str) -> None:
    from dataclasses import replace

    found = job_name(replace(compose(None, {}), name=name), "text")
    assert found.startswith("hashbench-")
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(found) < 64
    assert found != job_name(replace(compose(None, {}), name=name), "another text")


@given(
    cells=st.integers(1, 200_000),
    seconds=st.none() | st.floats(0, 1e9),
    jobs=st.none() | st.integers(1, 5_000),
    size=st.none() | st.integers(1, 5_000),
    workers=st.integers(1, 64),
    hours=st.floats(0.1, 100),
)
def test_how_many_jobs(
    cells: int,
    seconds: float | None,
    jobs: int | None,
    size: int | None,
    workers: int,
    hours: float,
) -> None:
    asked = Asked(workers=workers, jobs=jobs, cells=None if jobs else size, hours=hours)
    found = jobs_for(cells, asked, seconds)
    assert 1 <= found <= cells
    if jobs is not None:
        assert found == min(jobs, cells)
    elif size is not None:
        assert (found - 1) * size < cells <= found * size
    elif seconds is not None and found < min(cells, MOST_UNASKED):
        # They have the time; one fewer would not have it. The product is rounded.
        one = 3600 * hours * workers
        assert found * one >= seconds * (1 - 1e-12)
        assert found == 1 or (found - 1) * one <= seconds * (1 + 1e-12)


def test_notes_of_what_was_submitted(tmp_path: Path) -> None:
    assert notes_of(tmp_path, "x") == []
    add_note(tmp_path, "x", "slurm", "1", 2, 3)
    add_note(tmp_path, "x", "ray", "b", 1, 3)
    first, second = notes_of(tmp_path, "x")
    assert first == Note("slurm", "1", 2, 3, first.when)
    assert second.to == "ray"
    path = tmp_path / "submitted/x.json"
    for damage in ("{", "[1]", "{}", '[{"to": "slurm"}]', '[{"to": 1, "job": "", "jobs": 1}]'):
        path.write_text(damage)
        assert notes_of(tmp_path, "x") == []
    add_note(tmp_path, "x", "slurm", "9", 1, 1)
    assert [one.job for one in notes_of(tmp_path, "x")] == ["9"]


def test_no_scheduler_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="name the scheduler: --to slurm or --to ray"):
        find_scheduler("")
    with pytest.raises(UsageError, match="--to pbs: there is no such scheduler"):
        find_scheduler("pbs")
