"""What a format gives, one text or files, and where `hashbench report` puts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hashbench import UsageError, plugins
from hashbench.cli.report import report
from hashbench.errors import PluginError
from hashbench.plugins import Format, lookup
from hashbench.plugins import report_format as declare
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
def run(run_on: Command, quick: Any) -> Command:
    """Run `hashbench report` on the quick suite's results, in an empty folder."""
    return partial(run_on, report, quick.results())


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
    files = {name for name, is_text in found.items() if not is_text}
    assert files == {"plots", "parquet"}
    assert {"csv", "jsonl", "latex", "markdown", "terminal"} <= found.keys()
    assert {name for name in files if format_of(name).one_file} == {"parquet"}


TEXTS = [name for name in plugins.names("format") if format_of(name).is_text]


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_goes_to_standard_output_or_into_a_file(run: Command, quick: Any, name: str) -> None:
    form = format_of(name)
    shown = run("--format", name, "--full")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == form.render(quick.results(), width=80)
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
    assert beside.stderr == "8 files of format 'plots' in deep/beside\n"
    alone = run("--format", "plots", "-o", "alone")
    assert (alone.stdout, alone.stderr) == ("", "8 files of format 'plots' in alone\n")
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


def test_one_file_that_is_no_text_is_what_output_names(run: Command, quick: Any) -> None:
    done = run("--format", "parquet")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == (
        "format 'parquet' gives a file: name it, as in '--output report.parquet'"
    )
    (expected,) = format_of("parquet").files(quick.results()).values()
    for words in (["-o", "a.parquet"], ["--format", "parquet", "-o", "b.bin"]):
        done = run(*words)
        assert (done.exit_code, done.output) == (0, "")
        assert Path(words[-1]).read_bytes() == expected
    Path("there").mkdir()
    done = run("--format", "parquet", "-o", "there")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == "cannot write there: it is a folder; name a file in it"


ONE = """
from hashbench.plugins import Format, report_format

@report_format("blob")
class Blob(Format):
    '''One file.'''
    suffix = ".blob"
    one_file = True
    def files(self, results, *, width=None):
        return {"a": b"0"}
"""


@pytest.mark.usefixtures("forgotten")
def test_one_file_of_anybody_is_known_by_its_suffix(run: Command) -> None:
    Path("blob.py").write_text(ONE)
    assert run("--plugin", "blob.py", "-o", "x.blob").exit_code == 0
    assert Path("x.blob").read_bytes() == b"0"


@pytest.mark.usefixtures("forgotten")
def test_a_format_of_one_file_that_gives_two_is_told(run: Command) -> None:
    Path("blob.py").write_text(ONE.replace('{"a": b"0"}', '{"a": b"0", "b": b"1"}'))
    done = run("--plugin", "blob.py", "-o", "x.blob")
    assert isinstance(done.exception, PluginError)
    assert "one_file" in str(done.exception)
    assert "returned 2" in str(done.exception)
    assert not Path("x.blob").exists()


def test_pictures_that_are_written_too_are_shown(run: Command) -> None:
    Path("deep").mkdir()
    done = run("-o", "deep/r.md", "--plots", "plots")
    assert done.exit_code == 0
    page = Path("deep/r.md").read_text()
    drawn = [path.name for path in Path("plots").iterdir() if path.suffix == ".png"]
    assert len(drawn) == 4
    for name in drawn:
        assert f"](../plots/{name})" in page
    assert run("-o", "deep/alone.md").exit_code == 0
    assert "![" not in Path("deep/alone.md").read_text()


PICTURED = """
from dataclasses import dataclass
from hashbench.plugins import Format, report_format

@report_format("shown")
@dataclass(frozen=True)
class Shown(Format):
    '''Names its pictures.'''
    pictures: tuple[str, ...] = ()
    def render(self, results, *, width=None):
        return "\\n".join(self.pictures)
"""


@pytest.mark.usefixtures("forgotten")
def test_any_format_with_pictures_is_told_them(run: Command) -> None:
    Path("shown.py").write_text(PICTURED)
    done = run("--plugin", "shown.py", "--format", "shown", "-o", "a.txt", "--plots", "p")
    assert done.exit_code == 0
    assert {f"p/{path.name}" for path in Path("p").iterdir()} == set(
        Path("a.txt").read_text().splitlines()
    )
