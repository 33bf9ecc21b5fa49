"""What people mistype, on every command: one sentence, exit code 2, no traceback, nothing written.

Each is tried in a folder whose name has brackets, a blank and letters beyond ASCII, in the
surroundings that people have. A home that cannot be written to is a path below a file: a superuser
may write to every folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.trials import Trial, Trials

GOLDEN = Path(__file__).parents[1] / "golden" / "format-2"
LONG = "x" * 300
IMPORT = ("--to", "new", "--dataset", "fashion", "--loss", "csq", "--backbone", "resnet18")

USAGES: tuple[tuple[tuple[str, ...], str], ...] = (
    # Words in the wrong place, wrong dashes and quotes, nothing where something is due.
    (("--eps", "8/255", "run"), "No such option: --eps"),
    (("Run",), "Did you mean 'run'"),
    (("help",), "No such command 'help'"),
    (("run", "-h"), "No such option: -h"),
    (("run", "--no-dry-run"), "--dry-run"),
    (("run", "--dry-run=yes"), "does not take a value"),
    (("run", "--attack"), "requires an argument"),
    (("run", "\u2013eps", "8/255"), "write '--eps'"),
    (("run", "--seed", "\u22121"), "write '-1'"),
    (("run", ""), "an empty word stands behind 'run'"),
    (("run", "--out", "  "), "an empty word stands behind '--out'"),
    (("run", "--root="), "nothing stands behind '--root='"),
    (("run", "--defense", "\u201ccgat\u201d"), "did you mean 'cgat'"),
    (("run", "--attack", "'hag'"), "did you mean 'hag'"),
    # Files of another kind.
    (("run", "a [red]suite.toml", "b.toml"), "a run takes one suite, found 2"),
    (("run", "table.csv"), "not valid TOML"),
    (("run", "old [x]"), "a folder, expected a .toml file"),
    (("run", "report"), "suite report: no such file"),
    (("run", "--out", "/dev/null"), "expected a folder"),
    (("run", "--out", "table.csv/results"), "table.csv: it is a file, expected a folder"),
    (("run", "--out", LONG), "no file can have so long a name"),
    (("run", "--model", "table.csv"), "it is a file, expected a folder"),
    (("run", "--model", "old [x]"), "there is no card.json in it"),
    (("run", "--checkpoint", "weights.pth"), "it is a file, expected a folder"),
    (("run", "--plugin", "folder \u65e5\u672c"), "it is a folder, expected a file"),
    (("run", "--dataset", "lists", "--root", "table.csv"), "it is a file, expected a folder"),
    (("run", "--dataset", "lists", "--root", "~/no [such] data"), "no such folder"),
    # Values of another kind.
    (("run", "--attack", "HAG"), "did you mean 'hag'"),
    (("run", "--attack", "hag:steps=3;eps=1"), "expected a whole number"),
    (("run", "--attack", "hag:"), "write NAME"),
    (("run", "--eps", "8/0"), "must be a fraction"),
    (("run", "--eps", "inf"), "must be a fraction"),
    (("run", "--seed", "1.5"), "expected a whole number"),
    (("run", "--pixels", "16bit"), "pixels is '16bit', expected float or 8bit"),
    (("run", "--keep-images", "-1"), "keep_images is -1, but must be from 0 to 1,000"),
    (("run", "--keep-images", "1001"), "must be from 0 to 1,000"),
    (("run", "--keep-images", "all"), "Invalid value for '--keep-images'"),
    (("explain", "none"), "Missing argument 'B'"),
    (("explain", "none", "cgat", "nowhere"), "folder nowhere: no such folder"),
    (("explain", "none", "cgat", "old [x]", "-o", "page.md"), "a page is written; name it *.html"),
    (("explain", "none", "cgat", "old [x]", "-o", "."), "a page is written; name it *.html"),
    (("explain", "none", "cgat", "old [x]", "--to", "old [x]"), "it is a link; name a new folder"),
    (("explain", "none", "cgat", "old [x]", "--queries", "-1"), "Invalid value for '--queries'"),
    (("export-images", "old [x]"), "Missing option '--to'"),
    (("export-images", "old [x]", "--to", "table.csv"), "--to table.csv: it is there already"),
    (("export-images", "old [x]", "--to", "old [x]"), "it is a link; name a new folder"),
    (("export-images", "nowhere", "--to", "new"), "folder nowhere: no such folder"),
    (("export-images", "old [x]", "--to", "new", "--first", "0"), "Invalid value for '--first'"),
    (("export-images", "old [x]", "--to", "new", "--eps", "8"), "must lie from 0 to 1"),
    (("export-images", "old [x]", "--to", "new"), "there is no image to write"),
    (("run", "--bits", "-32"), "bits is -32"),
    (("run", "--workers", "1.5"), "--workers"),
    (("run", "--workers", "9" * 30), "must be from 1 to 1,024"),
    (("run", "--workers", "2", "--workers", "-2"), "workers is -2"),
    (("run", "--threads", "0"), "threads is 0"),
    (("run", "--attack-batch", "0"), "attack_batch is 0"),
    (("run", "--device", "cuda:1"), "expected cpu or cuda"),
    # The other commands.
    (("report", "a [red]suite.toml"), "is a file"),
    (("report", "model"), "no results in it"),
    (("report", "old [x]", "-o", "folder \u65e5\u672c"), "it is a folder; name a file in it"),
    (("report", "old [x]", "-o", "no/such/a.md"), "there is no folder no/such"),
    (("report", "old [x]", "-o", f"{LONG}.csv"), "File name too long"),
    (("report", "old [x]", "-o", "read-only.csv", "--format", "csv"), "it is read-only"),
    (("report", "old [x]", "-o", "pipe"), "nobody reads from it"),
    (("report", "old [x]", "--plots", "table.csv"), "is a file, expected a folder"),
    (("report", "old [x]", "--format", "CSV"), "did you mean 'csv'"),
    (("report", "old [x]", "--published", "/dev/zero"), "it is a device, expected a file"),
    (("report", "old [x]", "--published", "pipe"), "it is a named pipe, expected a file"),
    (("plugins", "attack"), "unexpected extra argument"),
    (("show", "hag", "noise"), "unexpected extra argument"),
    (("show", "/hag"), "no kind of plugin ''"),
    (("check", "folder \u65e5\u672c/[x].py"), "no such file"),
    (("check", "notes.py"), "declares no plugin"),
    (("new", "attack", "../my-attack"), "use small letters"),
    (("new", "attack", LONG), "use small letters"),
    (("new", "my-attack"), "Missing argument"),
    (("new", "attack", "dangling"), "there is a file or folder of that name"),
    (("data", "Check", "fashion"), "Did you mean 'check'"),
    (("data", "check", "hag"), "there is no dataset 'hag'"),
    (("data", "check", "lists:crop=0", "--root", "folder \u65e5\u672c"), "crop must lie from 1"),
    (("data", "check", "lists:crop=32", "--root", "old [x]"), "no list of the train images"),
    (("model", "copy"), "No such command 'copy'"),
    (("model", "export", "old [x]"), "Missing option '--to'"),
    (("model", "export", "old [x]", "--to", "new", "--seed", "-1"), "no model fits (seed -1)"),
    (("model", "export", "table.csv", "--to", "new"), "is a file"),
    (("model", "import", "folder \u65e5\u672c", *IMPORT), "it is a folder, expected a file"),
    (("model", "import", "weights.pth", *IMPORT, "--clean-map", "nan"), "clean mAP is nan"),
    (("model", "check", "table.csv"), "it is a file, expected a folder"),
)

NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
SERVERS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "as here": ({}, ("as it is", "no home", "no home to write to", "notebook")),
    "locale c": ({"LC_ALL": "C"}, ("as it is",)),
    "posix": ({"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, ("as it is",)),
    "ascii": ({"PYTHONIOENCODING": "ascii"}, ("as it is",)),
    "latin-1": ({"PYTHONIOENCODING": "latin-1"}, ("no home",)),
}
"""By name: the environment that Python starts in, and what is changed in it for a command."""


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Trials, tuple[str, ...]]]:
    env, changes = SERVERS[request.param]
    with Trials(env=env | {"COLUMNS": "80"}) as trials:
        yield trials, changes


def changed(what: str, folder: Path) -> Mapping[str, str | None]:
    """The variables of a surrounding."""
    nothing: dict[str, str | None] = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"))
    match what:
        case "no home":
            return nothing
        case "no home to write to":
            return nothing | {"HOME": str(folder / "table.csv" / "home")}
        case "notebook":
            return NOTEBOOK
    return {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("work") / "d\u00e9p\u00f4t [red] \u65e5\u672c"
    (here / "folder \u65e5\u672c").mkdir(parents=True)
    (here / "table.csv").write_text("a,b\n1,2\n")
    (here / "a [red]suite.toml").write_text("defense = 'none'\n")
    (here / "notes.py").write_text("x = 1\n")
    (here / "weights.pth").write_bytes(b"<html>")
    (here / "read-only.csv").write_text("mine\n")
    (here / "read-only.csv").chmod(0o400)
    (here / "old [x]").symlink_to(GOLDEN / "results")
    (here / "model").symlink_to(GOLDEN / "model")
    (here / "dangling").symlink_to("nowhere")
    os.mkfifo(here / "pipe")
    return here


def listed(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything in a folder, and when it was changed."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def assert_is_one_sentence(trial: Trial, said: str) -> None:
    """One line that begins with `Error:`, or typer's usage and its box, 80 columns wide."""
    assert trial.code == 2
    assert not trial.crashed
    assert not trial.hung
    assert trial.out == ""
    lines = trial.err.splitlines()
    if len(lines) == 1:
        assert lines[0].startswith("Error: ")
        assert len(lines[0]) < 600
    else:
        assert any(line[1:9] == "\u2500 Error " or line[1:9] == "- Error " for line in lines)
        assert max(len(line) for line in lines) <= 80
        said = said.replace(" ", "")
    flat = trial.err if len(lines) == 1 else "".join(trial.err.split())
    assert said in flat.replace("\u2502", "").replace("|", ""), trial.err


def test_the_usages_are_many_and_each_is_one() -> None:
    assert len({words for words, _ in USAGES}) == len(USAGES) >= 40


@pytest.mark.slow
def test_wrong_usage_is_one_sentence_wherever_it_happens(
    server: tuple[Trials, tuple[str, ...]], folder: Path
) -> None:
    trials, changes = server
    before = listed(folder)
    for what in changes:
        env = changed(what, folder)
        for words, said in USAGES:
            trial = trials.run(*words, cwd=folder, env=env)
            try:
                assert_is_one_sentence(trial, said)
            except AssertionError as error:
                shown = json.dumps(words)
                raise AssertionError(f"{what}: {shown}: {trial.code}: {trial.err}") from error
            assert listed(folder) == before, words
