"""A reader of a page: does what its blocks say, in their order, with programs of his own."""

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
from typing import Final

from support.package import REPOSITORY
from support.pages import TINY_DATA, Block, small_suite


def _demo() -> list[str]:
    """What `make demo` runs once the environment is there, as a reader would type it."""
    makefile = (REPOSITORY / "Makefile").read_text()
    recipe = makefile.partition("\ndemo:")[2].partition("\n\n")[0].splitlines()[1:]
    values = {"$(BIN)/": "", "$(OUT)": "results", "$(WORKERS)": "1"}
    for variable, value in values.items():
        recipe = [line.replace(variable, value) for line in recipe]
    return [line.strip() for line in recipe]


PREPARED: Final = {"make demo": _demo(), 'export PATH="$PWD/.venv/bin:$PATH"': []}
"""Lines that set up what a place has already, and what is left to do of them."""


@dataclass(frozen=True)
class Place:
    """A folder to work in, and the programs that a reader would have."""

    folder: Path
    programs: Path

    def run(self, line: str) -> str:
        """Run one command; its output, or a failure that shows it.

        A comment says where it ends with another exit code than 0: `# exit code 1`.
        """
        if line in PREPARED:
            return "".join(self.run(each) for each in PREPARED[line])
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
        if line.startswith("hashbench export-images"):  # asks the data for the clean queries
            return f"{line} --plugin {TINY_DATA}"
        if not line.startswith("hashbench run"):
            return line
        if "--model" in line:  # a model says itself what it is of
            return f"{line} --plugin {TINY_DATA}"
        (self.folder / "small.toml").write_text(small_suite(epochs=15))
        return line.replace("hashbench run", "hashbench run small.toml", 1)


def new_place(home: Path) -> Place:
    """An environment that sees all that this one has, and installs for itself alone."""
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
