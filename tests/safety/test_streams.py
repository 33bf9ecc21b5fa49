"""Whatever is at the other end of standard output and error, in whatever letters: no traceback.

Encodings are set when Python starts, and closed streams come from the shell: real processes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hashbench.characters import shown

TINY = Path(__file__).parents[1] / "end_to_end" / "tiny_data.py"
GOLDEN = Path(__file__).parents[1] / "golden" / "format-2"
REPORTED = 1
"""The exit code of a report of these results: a cell of them failed."""

ENCODINGS: dict[str, dict[str, str]] = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "posix": {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "c": {"LC_ALL": "C"},
    "strict": {"PYTHONIOENCODING": "ascii:strict"},
    "replace": {"PYTHONIOENCODING": "ascii:replace"},
}


def shell(
    line: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """A line for bash; `hb` stands for the command, `golden` for a folder of results."""
    words = f'hb() {{ "{sys.executable}" -P -m hashbench "$@"; }}; golden="{GOLDEN}/results"; '
    return subprocess.run(
        ["bash", "-c", words + line],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80", **(env or {})},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("variables", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_a_report_in_any_encoding(tmp_path: Path, variables: dict[str, str]) -> None:
    shutil.copytree(GOLDEN / "results", tmp_path / "r\u00e9sultats \u65e5\u672c [red]")
    plain = shell("hb report r*", tmp_path)
    assert plain.returncode == REPORTED, plain.stderr
    assert "─" in plain.stdout.decode()
    found = shell("hb report r*", tmp_path, variables)
    assert (found.returncode, found.stderr) == (REPORTED, b"")
    letters = found.stdout.decode("utf-8" if variables.get("LC_ALL") == "C" else "latin-1")
    rows = [line.split() for line in plain.stdout.decode().splitlines() if "atrdh" in line]
    assert len(rows) > 2
    # The numbers are the same; only marks and rules have other letters.
    numbers = "0123456789."
    for row in rows:
        kept = ["".join(one for one in word if one in numbers) for word in row]
        assert any(
            kept == ["".join(one for one in word if one in numbers) for word in line.split()]
            for line in letters.splitlines()
        ), row
    if "C" not in variables.values():
        assert found.stdout.isascii() or variables["PYTHONIOENCODING"] in ("latin-1", "cp1252")


@pytest.mark.parametrize("name", ["ascii", "latin-1", "posix"])
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("hb data check lists:crop=32 --root 'r\u00e9 [x]'", 1),
        ("hb report 'r\u00e9 [x]'", 2),
        ("hb --help", 0),
        ("hb run --eps \u20138/255", 2),
        ("hb show \u201chag\u201d", 2),
    ],
)
def test_every_answer_and_every_error_in_any_encoding(
    tmp_path: Path, name: str, line: str, code: int
) -> None:
    folder = tmp_path / "r\u00e9 [x]"
    folder.mkdir()
    for split in ("train", "test", "database"):
        (folder / f"{split}.txt").write_text("gone.png 1 0\n")
    found = shell(line, tmp_path, ENCODINGS[name])
    said = found.stdout + found.stderr
    assert found.returncode == code, said
    assert said
    assert b"Traceback" not in said
    assert b"[x]" in said or "[x]" not in line


ANSWERS = (
    "hb report $golden",
    "hb report $golden --format csv",
    "hb show hag",
    "hb plugins",
    "hb --help",
    "hb --version",
    "hb data check fashion",
    f"hb run --plugin {TINY} --dataset tiny --dry-run",
)


@pytest.mark.parametrize("line", ANSWERS)
def test_a_reader_that_leaves_ends_nothing(tmp_path: Path, line: str) -> None:
    """As every command answers: nothing is said, and the exit code is that of the command."""
    done = shell(f"{line} | true; echo ${{PIPESTATUS[0]}}", tmp_path)
    assert done.stdout == (b"1\n" if "golden" in line else b"0\n")
    assert b"Traceback" not in done.stderr
    assert b"ipe" not in done.stderr


@pytest.mark.parametrize("line", ANSWERS)
def test_a_full_disk_behind_standard_output_is_told(tmp_path: Path, line: str) -> None:
    done = shell(f"{line} > /dev/full", tmp_path)
    assert done.returncode == 1
    said = done.stderr.decode().splitlines()
    assert said[-1] == "Error: standard output: No space left on device"
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "<&-"])
@pytest.mark.parametrize(
    ("line", "code"), [("hb report $golden", REPORTED), ("hb report nowhere", 2)]
)
def test_a_closed_stream_is_thrown_away(tmp_path: Path, closed: str, line: str, code: int) -> None:
    whole = shell(line, tmp_path)
    done = shell(f"{line} {closed}", tmp_path)
    assert done.returncode == whole.returncode == code
    assert done.stdout == (b"" if " >&-" in f" {closed}" else whole.stdout)
    assert done.stderr == (b"" if "2>&-" in closed else whole.stderr)


def test_a_file_is_not_written_to_what_was_a_stream(tmp_path: Path) -> None:
    """The next file that is opened would get the number of a closed stream."""
    done = shell("hb report $golden -o whole.csv --format csv >&- 2>&-", tmp_path)
    assert done.returncode == REPORTED
    expected = shell("hb report $golden --format csv", tmp_path).stdout
    assert (tmp_path / "whole.csv").read_bytes() == expected


@pytest.mark.parametrize("line", ["hb report nowhere 2>/dev/full", "hb run --eps 8 2>/dev/full"])
def test_a_full_disk_behind_standard_error_changes_no_exit_code(tmp_path: Path, line: str) -> None:
    assert shell(line, tmp_path).returncode == 2


def test_output_goes_into_the_streams_that_a_shell_names(tmp_path: Path) -> None:
    csv = shell("hb report $golden --format csv", tmp_path).stdout
    for line in (
        "into /dev/stdout",
        "into /dev/stdout | cat",
        "into /dev/stderr 2>&1",
        "into /dev/fd/7 7>&1",
        "into /dev/fd/7 7>>log; cat log",
        "echo before > out; into /dev/stdout >> out; tail -n +2 out",
        "into >(cat > got); while [ ! -s got ]; do sleep 0.1; done; sleep 0.2; cat got",
        "ln -s /dev/stdout link; into link; test -L link",
    ):
        done = shell(f"into() {{ hb report $golden --format csv -o $1; }}; {line}", tmp_path)
        assert (done.stdout, done.stderr) == (csv, b""), line
    done = shell("hb report $golden -o /dev/null; test -c /dev/null", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


SHORT = "printf '[training]\\nepochs = 1\\n' > short.toml; "
RUN = (
    f"hb run short.toml --plugin {TINY} --dataset tiny --defense none --attack noise "
    "--attack hag:steps=1 --bits 8"
)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_goes_on_whoever_hears_of_it(tmp_path: Path, workers: int) -> None:
    """A full disk for the log, a closed one, a pager that was left: all cells are made."""
    line = f"{RUN} --workers {workers}"
    whole = shell(f"{SHORT}{line} --out whole; hb report whole --format csv", tmp_path).stdout
    assert whole.count(b"\n") > 20
    for name, ending in (
        ("full", "2>/dev/full"),
        ("closed", ">&- 2>&-"),
        ("left", "2>&1 | true; exit ${PIPESTATUS[0]}"),
    ):
        done = shell(f"{line} --out {name} {ending}", tmp_path)
        assert (done.returncode, done.stderr) == (0, b""), name
        assert shell(f"hb report {name} --format csv", tmp_path).stdout == whole
    failed = shell(f"{line} --plugin bad.py --attack bad --out full 2>/dev/full", _bad(tmp_path))
    assert failed.returncode == 1  # the exit code tells of the cells


def _bad(folder: Path) -> Path:
    (folder / "bad.py").write_text(
        "from dataclasses import dataclass\n"
        "from hashbench.plugins import Attack, attack\n"
        "@attack('bad')\n"
        "@dataclass(frozen=True)\n"
        "class Bad(Attack):\n"
        "    '''Prints a lot and fails.'''\n"
        "    def perturb(self, model, images, goal, threat, rng):\n"
        "        print('x' * 100_000)\n"
        "        raise RuntimeError('bad')\n"
    )
    return folder


WARNING = """
import logging, sys, threading, warnings
from hashbench.standard_streams import use_patient_streams
use_patient_streams()
text = "\\x1b]0;pwned\\x07[red] \\u202eevil \\u200b"
warnings.warn(text)
logging.getLogger("some.library").warning("of %s", text)
try:
    int(text)
except ValueError:
    logging.getLogger("some.library").exception("of %s", text)


class Loud:
    def __del__(self):
        raise ValueError(text)


Loud()
thread = threading.Thread(target=lambda: int(text))
thread.start()
thread.join()
raise ValueError(text)
"""


def test_what_python_writes_to_standard_error_is_text(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", WARNING], capture_output=True, cwd=tmp_path, check=False
    )
    said = done.stderr.decode()
    assert done.returncode == 1
    assert shown(said, keep="\n") == said
    assert said.count(r"\x1b]0;pwned\x07[red] \u202eevil \u200b") >= 3
    assert "UserWarning" in said
    assert said.splitlines()[-1].startswith("ValueError: ")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_gets_a_word_and_its_exit_code(
    tmp_path: Path, number: signal.Signals, workers: int
) -> None:
    (tmp_path / "short.toml").write_text("[training]\nepochs = 1000\n")
    words = [sys.executable, "-P", "-m", "hashbench", "run", "short.toml", "--plugin", str(TINY)]
    words += ["--dataset", "tiny", "--workers", str(workers)]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "steps to do" in process.stderr.readline()  # the estimate
    process.stderr.readline()  # the reporter: the run has begun
    time.sleep(1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    word = "Interrupted" if number is signal.SIGINT else f"Ended by {number.name}"
    assert said.splitlines() == [
        f"{word}. What is done is kept: the same command goes on from there."
    ]


def test_a_signal_that_the_caller_ignores_stays_ignored(tmp_path: Path) -> None:
    program = (
        "import os, signal; from hashbench.cli.ended import Listener\n"
        "Listener(); os.kill(os.getpid(), signal.SIGHUP); print('on')\n"
    )
    done = shell(f"trap '' HUP; '{sys.executable}' -P -c \"{program}\"", tmp_path)
    assert done.stdout == b"on\n", done.stderr


def test_a_command_that_answers_ends_by_a_signal_with_a_word(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from hashbench.cli import app, show\n"
        "sys.argv = ['hashbench', 'plugins']\n"
        "show.use_files = lambda _: os.kill(os.getpid(), signal.SIGTERM)\n"
        "app.main()\n"
    )
    done = shell(f"'{sys.executable}' -P -c \"{program}\"", tmp_path)
    assert (done.returncode, done.stderr) == (143, b"Ended by SIGTERM.\n")
