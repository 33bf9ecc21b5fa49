"""Every block of docs/writing-plugins.md works: files are written, commands run, in their order.

`pip`, `python` and `hashbench` are those of an environment of the test's own, so that the page's
package is installed nowhere else. `hashbench run` gets a small suite; nothing else is changed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.pages import DOCS, README, TINY_DATA, Block, blocks, small_suite

PAGE = DOCS / "writing-plugins.md"


@dataclass(frozen=True)
class Place:
    """A folder to work in, and the programs that a reader would have."""

    folder: Path
    programs: Path

    def run(self, line: str) -> str:
        """Run one command; its output, or a failure that shows it.

        A comment says where it ends with another exit code than 0: `# exit code 1`.
        """
        line, _, code = line.partition("  # exit code ")
        done = subprocess.run(
            shlex.split(self.small(line)),
            cwd=self.folder,
            env={
                **os.environ,
                "PATH": os.pathsep.join([str(self.programs), os.environ["PATH"]]),
                "PYTHONPATH": os.pathsep.join(
                    [str(self.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
                ),
                "OMP_NUM_THREADS": "1",
                "COLUMNS": "80",
                "NO_COLOR": "1",
                "PIP_NO_INDEX": "1",
                "PIP_NO_DEPS": "1",
                "PIP_NO_BUILD_ISOLATION": "0",  # sic: pip reads it as the option's opposite
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == int(code or 0), f"{line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def small(self, line: str) -> str:
        """The command on little data."""
        if not line.startswith("hashbench run"):
            return line
        if "--model" in line:  # a model says itself what it is of
            return f"{line} --plugin {TINY_DATA}"
        (self.folder / "small.toml").write_text(small_suite(epochs=15))
        return line.replace("hashbench run", "hashbench run small.toml", 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An environment that sees all that this one has, and installs for itself alone."""
    home = tmp_path_factory.mktemp("author")
    venv.create(home / "env", symlinks=True)
    programs = home / "env/bin"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    links = [path for path in sys.path if path.endswith("site-packages")]
    (home / "env/lib" / version / "site-packages/parent.pth").write_text(
        "".join(f"import site; site.addsitedir({path!r})\n" for path in links)
    )
    for name, code in (
        ("hashbench", "from hashbench.cli.app import main"),
        ("pip", "from pip._internal.cli.main import main"),
    ):
        program = programs / name
        program.write_text(f"#!{programs / 'python'} -P\nimport sys\n{code}\nsys.exit(main())\n")
        program.chmod(0o755)
    folder = home / "work"
    folder.mkdir()
    return Place(folder, programs)


def follow(page: list[Block], place: Place) -> int:
    """Do what a page says; the number of commands."""
    output, commands = "", 0
    for block in page:
        first, *_ = block.text.split("\n")
        if block.language == "python":
            named = re.fullmatch(r"# ([\w/.-]+\.py)", first)
            assert named, f"a file without a name: {first}"
            (place.folder / named[1]).write_text(block.text)
        elif block.language == "sh":
            lines = block.text.strip().split("\n")
            output = "".join(place.run(line) for line in lines)
            commands += len(lines)
        elif block.language == "text":
            assert_in_order(block.text, output)
        else:
            assert block.language == "toml", f"nobody runs a block of '{block.language}'"
            assert tomllib.loads(block.text)
    return commands


def assert_in_order(promised: str, output: str) -> None:
    """Every promised line but `...` begins a line of the output, in that order."""
    rest = iter(output.split("\n"))
    for line in promised.strip().split("\n"):
        if line != "...":
            assert any(found.startswith(line) for found in rest), f"{line!r} is not in\n{output}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page_for_authors_from_its_first_line_to_its_last(place: Place) -> None:
    assert follow(blocks(PAGE), place) >= 20
    folder = place.folder
    # The entry point that the page quotes is the one that was written.
    quoted = next(block for block in blocks(PAGE) if block.language == "toml")
    written = tomllib.loads((folder / "my-descent/pyproject.toml").read_text())
    group = "hashbench.attacks"
    wanted = tomllib.loads(quoted.text)["project"]["entry-points"][group]
    assert written["project"]["entry-points"][group] == wanted
    # The rows are there: every attack against every defense.
    rows = (folder / "results.csv").read_text()
    for defense in ("none", "cgat"):
        for attack in ("my-descent", "pgd-hamming"):
            assert re.search(rf"^tiny,.*,{defense},{attack},.*,map,", rows, re.MULTILINE)
    assert "my-descent" in (folder / "report.md").read_text()


def test_a_promise_that_the_output_breaks_is_found() -> None:
    assert_in_order("one\n...\nthree", "one\ntwo\nthree\n")
    for promised in ("three\n...\none", "four"):
        with pytest.raises(AssertionError, match="is not in"):
            assert_in_order(promised, "one\ntwo\nthree\n")


def test_a_failing_command_is_found(place: Place) -> None:
    with pytest.raises(AssertionError, match="there is no plugin"):
        place.run("hashbench check nothing-of-that-name")


def test_the_readme_shows_an_attack_that_keeps_the_rules(place: Place) -> None:
    shown = next(block for block in blocks(README) if block.text.startswith("# my_attack.py"))
    path = place.folder / "from_the_readme.py"
    path.write_text(shown.text)
    assert " 0 failed" in place.run(f"hashbench check {path.name}")
