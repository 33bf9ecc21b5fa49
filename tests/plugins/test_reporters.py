"""Reporters of installed packages hear of every run; what they do wrong ends none."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hashbench import Reporter
from hashbench.runner import outside

Call = Callable[..., subprocess.CompletedProcess[str]]

PACKAGE = Path(__file__).resolve().parents[1] / "reporter_package"

NUMBERS = ("value", "low", "high")

# Writes down, a line each, what MLflow was asked to keep: in the place of a tracker.
STAND_IN = """
import json
_open = []
def _note(*words):
    with open("noted.jsonl", "a") as file:
        file.write(json.dumps(words) + "\\n")
def start_run(run_name): _open.append(run_name); _note("start_run", run_name)
def active_run(): return _open[-1] if _open else None
def end_run(status): _open.pop(); _note("end_run", status)
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda *words, **more: _note(name, *words)
"""

SUITE = """
name = "told"
plugin = [{data!r}]
dataset = "tiny"
backbone = "small-cnn:width=4,hidden=16"
bits = 8
eps = "24/255"
defense = "none"
attack = "noise"
training = {{ epochs = 2, batch = 8 }}
"""

EVERYTHING = '''
import json, hashbench
class All(hashbench.Reporter):
    """Write down everything."""
def note(name):
    def method(self, *words):
        told = [getattr(word, "label", getattr(word, "attack", "")) for word in words]
        with open("heard.jsonl", "a") as file:
            file.write(json.dumps([name, *told]) + "\\n")
    return method
for name in (
    "planned", "begin", "started", "advanced", "finished", "scored", "failed", "results", "end"
):
    setattr(All, name, note(name))
'''


def installed(site: Path, module: str, text: str, *, target: str = "") -> None:
    """A package of one module with a reporter, as pip leaves it."""
    site.mkdir(exist_ok=True)
    (site / f"{module}.py").write_text(text)
    about = site / f"{module}-1.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.5\n")
    (about / "entry_points.txt").write_text(
        f"[{outside.GROUP}]\n{module}-reporter = {target or module}\n"
    )


@pytest.fixture
def suite(tmp_path: Path, tiny_data: Path) -> Path:
    path = tmp_path / "suite.toml"
    path.write_text(SUITE.format(data=str(tiny_data)))
    return path


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, as pip installs it."""
    work = tmp_path_factory.mktemp("reporter")
    shutil.copytree(PACKAGE, work / "package")
    command = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--target", str(work / "site"), str(work / "package")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return work / "site"


def run(call: Call, site: Path, suite: Path) -> subprocess.CompletedProcess[str]:
    return call("-m", "hashbench", "run", str(suite), "--out", "results", path=site)


def rows(call: Call) -> list[dict[str, str]]:
    done = call("-m", "hashbench", "report", "results", "--format", "csv")
    return list(csv.DictReader(done.stdout.splitlines()))


def same(text: str, rows: list[dict[str, str]]) -> bool:
    """Whether a CSV of a frame says what the report does, which writes ten digits of a number."""
    found = list(csv.DictReader(text.splitlines()))
    assert len(found) == len(rows) > 20

    def alike(name: str, one: str, other: str) -> bool:
        if name in NUMBERS and one and other:
            return math.isclose(float(one), float(other), rel_tol=1e-9, abs_tol=1e-9)
        return one == other

    return all(
        alike(name, one[name], other[name])
        for one, other in zip(found, rows, strict=True)
        for name in other
    )


def test_the_example_is_short() -> None:
    (module,) = PACKAGE.rglob("*.py")
    assert len(module.read_text().splitlines()) <= 60


def test_the_example_tells_a_tracker_all(
    call: Call, example: Path, suite: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    shutil.copytree(example, site)
    (site / "mlflow.py").write_text(STAND_IN)
    done = run(call, site, suite)
    assert done.returncode == 0, done.stderr
    assert "reporter" not in done.stderr
    noted = [json.loads(line) for line in (tmp_path / "noted.jsonl").read_text().splitlines()]
    names = [name for name, *_ in noted]
    assert names[:2] == ["set_experiment", "start_run"]
    assert noted[-1] == ["end_run", "FINISHED"]
    texts = {words[1]: words[0] for name, *words in noted if name == "log_text"}
    assert 'name = "told"' in texts["suite.toml"]
    assert same(texts["results.csv"], rows(call))
    metrics = {words[0]: words[1] for name, *words in noted if name == "log_metric"}
    wanted = {
        float(row["value"])
        for row in rows(call)
        if row["attack"] == "noise" and row["metric"] == "map"
    }
    told = [value for name, value in metrics.items() if name.startswith("map/tiny csq 8")]
    assert wanted
    for value in wanted:
        assert any(math.isclose(value, one, rel_tol=1e-9) for one in told)


def test_the_example_writes_to_mlflow(
    call: Call, example: Path, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("mlflow") is None:
        pytest.skip("mlflow is not installed: pip install mlflow-skinny; the test above stands in")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "tracked").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    done = run(call, example, suite)
    assert done.returncode == 0, done.stderr
    assert "reporter" not in done.stderr
    (text,) = (tmp_path / "tracked").rglob("results.csv")
    assert same(text.read_text(), rows(call))
    (status,) = (tmp_path / "tracked").glob("*/*/meta.yaml")
    assert "status: 3" in status.read_text()  # finished
    assert list(status.parent.glob("metrics/map/tiny csq 8 none 0/*"))


def test_everything_is_told_in_order_and_once(call: Call, suite: Path, tmp_path: Path) -> None:
    installed(tmp_path / "site", "everything", EVERYTHING)
    assert run(call, tmp_path / "site", suite).returncode == 0
    heard = [json.loads(line) for line in (tmp_path / "heard.jsonl").read_text().splitlines()]
    names = [name for name, *_ in heard if name != "advanced"]
    assert names[:2] == ["planned", "begin"]
    assert names[-2:] == ["results", "end"]
    assert names.count("planned") == names.count("results") == names.count("end") == 1
    assert [label for name, label, *_ in heard[1:-1] if name == "scored"] == ["none", "noise"]
    assert names.count("started") == names.count("finished")
    # A run that has nothing to make is one too.
    (tmp_path / "heard.jsonl").unlink()
    assert run(call, tmp_path / "site", suite).returncode == 0
    again = [json.loads(line)[0] for line in (tmp_path / "heard.jsonl").read_text().splitlines()]
    assert again == ["planned", "begin", "results", "end"]


WRONG = """
import hashbench
class Wrong(hashbench.Reporter):
    def started(self, step):
        raise KeyError("no server")
    def end(self):
        open("ended", "w").close()
"""


@pytest.mark.parametrize(
    ("text", "target", "said"),
    [
        (WRONG, "", "failed, and hears no more of this run: KeyError: 'no server' (guest.py:5)"),
        ("raise SystemExit(3)", "", "is broken and left out: SystemExit: 3 (guest.py:1)"),
        ("import nowhere_at_all", "", "is broken and left out: ModuleNotFoundError: "),
        ("x = 1", "", "is broken and left out: it names no subclass of hashbench.Reporter"),
        ("x = 1", "guest:x", "is broken and left out: it names no subclass of hashbench.Reporter"),
        ("x = 1", "guest:y", "is broken and left out: AttributeError: "),
        (
            "import hashbench\nclass R(hashbench.Reporter):\n def __init__(self, server): ...",
            "",
            "is broken and left out: TypeError: ",
        ),
    ],
)
def test_a_wrong_one_is_told_once_and_the_run_goes_on(
    call: Call, suite: Path, tmp_path: Path, text: str, target: str, said: str
) -> None:
    site = tmp_path / "site"
    installed(site, "guest", text, target=target)
    installed(site, "zeverything", EVERYTHING)
    done = run(call, site, suite)
    assert done.returncode == 0, done.stderr
    who = f"reporter 'guest-reporter' of guest 1.5 ({target or 'guest'}) {said}"
    assert done.stderr.count(who) == 1, done.stderr
    assert done.stderr.count("'guest-reporter'") == 1
    assert "Traceback" not in done.stderr
    assert (tmp_path / "ended").exists() == (text == WRONG)
    heard = (tmp_path / "heard.jsonl").read_text()
    assert '["end"]' in heard  # the other one hears all
    assert {row["status"] for row in rows(call)} == {"done"}


def test_they_are_listed(call: Call, tmp_path: Path) -> None:
    site = tmp_path / "site"
    installed(site, "everything", EVERYTHING)
    installed(site, "guest", "raise SystemExit(3)")
    done = call("-m", "hashbench", "plugins", path=site)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("reporter"))
    assert line.split() == [
        "reporter", "everything-reporter", "everything", "-", "-", "Write", "down", "everything",
    ]  # fmt: skip
    assert "broken: reporter 'guest-reporter' of guest 1.5 (guest)" in done.stdout
    listed = json.loads(call("-m", "hashbench", "plugins", "--json", path=site).stdout)
    (one,) = (one for one in listed if one["kind"] == "reporter")
    assert one["source"] == "everything"
    doctor = call("-m", "hashbench", "doctor", "--quick", path=site).stdout
    assert "everything 1.5: reporter 'everything-reporter'" in doctor
    assert "reporter 'guest-reporter' of guest 1.5 (guest) is broken: SystemExit: 3" in doctor


def test_every_method_is_handed_on() -> None:
    """A method that is added to the contract is not forgotten."""
    methods = {name for name in vars(Reporter) if not name.startswith("_")}
    assert methods <= vars(outside.Several).keys()
