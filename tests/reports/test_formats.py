"""What a format gives, one text or files, and where `hashbench report` puts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hashbench import UsageError, plugins
from hashbench.cli.report import report
from hashbench.plugins import Format, lookup
from hashbench.plugins import report_format as declare
from hashbench.results import load
from hashbench.results.results import Results

Command = Callable[..., Any]

PAGE = """
from dataclasses import dataclass
from hashbench.plugins import Format, report_format

@report_format("page")
@dataclass(frozen=True)
class Page(Format):
    '''A page with an image.'''
    image: str = "images/a.png"
    def files(self, results, *, width=None):
        return {"index.html": f"{len(results.cells)} cells, {width}".encode(), self.image: b"png"}
"""


@declare("count")
class Count(Format):
    """How many cells there are."""

    suffix = ".num"

    def render(self, results: Results, *, width: int | None = None) -> str:
        return f"ä {len(results.cells)} {width}"


@declare("pair")
class Pair(Format):
    """Two files."""

    def files(self, results: Results, *, width: int | None = None) -> Mapping[str, bytes]:
        return {"a": b"%d" % len(results.cells), "b": b"%d" % (width or 0)}


def format_of(name: str) -> Format:
    form = plugins.get("format", name)
    assert isinstance(form, Format)
    return form


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What a plugin file declares is gone after the test."""
    yield
    lookup._registry.cache_clear()


@pytest.fixture
def run(quick: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run `hashbench report` on the quick suite's results, in an empty folder."""
    app = typer.Typer()
    app.command()(report)
    monkeypatch.setattr(load, "load_results", lambda *_: quick.results())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words: str) -> Any:
        return CliRunner().invoke(app, words)

    return call


def test_a_text_is_one_file(quick: Any) -> None:
    count = Count()
    assert count.is_text
    assert count.render(quick.results()) == "ä 15 None"
    assert count.files(quick.results(), width=7) == {"report.num": "ä 15 7".encode()}


def test_files_are_no_text(quick: Any) -> None:
    pair = Pair()
    assert not pair.is_text
    assert pair.files(quick.results(), width=7) == {"a": b"15", "b": b"7"}
    with pytest.raises(UsageError, match="format 'pair' gives files, not one text"):
        pair.render(quick.results())


def test_a_format_that_gives_neither_is_refused_when_it_is_declared() -> None:
    with pytest.raises(UsageError, match=r"class Hollow defines neither render .* nor files"):

        class Hollow(Format):
            """Nothing."""


def test_which_formats_are_texts() -> None:
    found = {name: format_of(name).is_text for name in plugins.names("format")}
    assert found == {"csv": True, "markdown": True, "terminal": True, "plots": False}


@pytest.mark.parametrize("name", ["terminal", "markdown", "csv"])
def test_a_text_goes_to_standard_output_or_into_a_file(run: Command, quick: Any, name: str) -> None:
    form = format_of(name)
    shown = run("--format", name, "--full")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == form.render(quick.results(), width=100)
    refused = run("--format", name, "--output", "deep/report")
    assert isinstance(refused.exception, UsageError)
    assert str(refused.exception) == (
        "cannot write deep/report: there is no folder deep; make it first"
    )
    Path("deep").mkdir()
    written = run("--format", name, "--output", "deep/report")
    assert (written.exit_code, written.output) == (0, "")
    assert Path("deep/report").read_bytes() == form.render(quick.results()).encode()
    assert [path.name for path in Path("deep").iterdir()] == ["report"]


def test_a_text_needs_the_name_of_a_file(run: Command) -> None:
    for folder in (".", "there"):
        Path("there").mkdir(exist_ok=True)
        done = run("--format", "csv", "-o", folder)
        assert isinstance(done.exception, UsageError)
        assert str(done.exception) == f"cannot write {folder}: it is a folder; name a file in it"
    Path("file").touch()
    done = run("--format", "csv", "-o", "file/report.csv")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception).startswith("cannot write file/report.csv: ")


def test_files_need_a_folder(run: Command) -> None:
    done = run("--format", "plots")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == (
        "format 'plots' gives several files: name a folder for them, as in '--output FOLDER'"
    )
    assert done.stdout == ""


def test_plots_is_short_for_a_format(run: Command, quick: Any) -> None:
    expected = format_of("plots").files(quick.results())
    beside = run("--format", "csv", "--plots", "deep/beside")
    assert beside.stdout == format_of("csv").render(quick.results())
    assert beside.stderr == "4 files of format 'plots' in deep/beside\n"
    alone = run("--format", "plots", "-o", "alone")
    assert (alone.stdout, alone.stderr) == ("", "4 files of format 'plots' in alone\n")
    for folder in (Path("deep/beside"), Path("alone")):
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected


@pytest.mark.usefixtures("forgotten")
def test_a_format_of_a_file_may_use_sub_folders(run: Command) -> None:
    Path("page.py").write_text(PAGE)
    done = run("--plugin", "page.py", "--format", "page", "-o", "site")
    assert (done.exit_code, done.stdout) == (0, "")
    assert Path("site/index.html").read_text() == "15 cells, None"
    assert Path("site/images/a.png").read_bytes() == b"png"


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("place", ["../a.png", "/a.png", "x/../../a.png", ""])
def test_no_file_lies_outside_of_the_folder(run: Command, place: str) -> None:
    Path("page.py").write_text(PAGE.replace("images/a.png", place))
    done = run("--plugin", "page.py", "--format", "page", "-o", "site")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == f"format 'page' names a file '{place}' outside of its folder"
    assert not Path("site").exists()


def test_published_numbers_go_to_a_format_that_takes_them(run: Command) -> None:
    done = run("--format", "plots", "-o", "site", "--published", "a.csv")
    assert isinstance(done.exception, UsageError)
    assert "no parameter 'published'" in str(done.exception)
    done = run("--format", "markdown", "--published", "a.csv")
    assert isinstance(done.exception, UsageError)
    assert "a.csv" in str(done.exception)
