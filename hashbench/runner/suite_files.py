"""Suite files: TOML that a stranger may have written, bounded before it is read."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from hashbench.characters import shortened
from hashbench.errors import FileError, UsageError
from hashbench.files import read_text
from hashbench.plugins.paths import started_from
from hashbench.suggestions import did_you_mean

QUICK: Final = "quick"
"""The suite that a run takes where it is told nothing."""

MAX_BYTES: Final = 1_000_000
"""How large a suite file may be: a list of 100,000 numbers has room in it."""

PATHS_FROM: Final = "paths_from"
WORKING_FOLDER: Final = "working folder"
"""What a suite file says where its relative paths do not start from its own folder."""

MAX_KEY_PARTS: Final = 32
"""How many parts a dotted key may have; what reading it costs grows with the square."""

_KEY_PART: Final = r"(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')"
_LONG_KEY: Final = re.compile(
    rf"(?<![\w-]){_KEY_PART}(?:[ \t]*\.[ \t]*{_KEY_PART}){{{MAX_KEY_PARTS}}}", re.ASCII
)


def shipped() -> tuple[str, ...]:
    """The names of the suites that ship with hashbench."""
    folder = files("hashbench.benchmarks") / "suites"
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir()))


def read_shipped(name: str) -> dict[str, Any]:
    """The keys of a suite that ships with hashbench."""
    text = (files("hashbench.benchmarks") / "suites" / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def read_suite(source: str | Path) -> tuple[dict[str, Any], Path]:
    """The keys of a suite file, or of one that ships, and the folder that its paths start from.

    `name` is the file's where it says none. The paths of `plugin`, `model`, `root` and
    `checkpoint` start from the working folder. So do all paths of a file that says
    `paths_from = "working folder"`, as those that `hashbench submit` writes.

    Args:
        source: the path of a file, or a shipped suite's name; a file goes first.

    Raises:
        UsageError: no such file or name; it is no suite file.
    """
    path = Path(source)
    where = f"suite {shortened(str(source), 200)}"
    try:
        given = _parsed(read_text(path, MAX_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        if str(source) not in shipped():
            raise UsageError(
                f"{where}: no such file, and no suite of that name"
                f"{did_you_mean(str(source), shipped())}"
            ) from None
        given = read_shipped(str(source))
    except FileError as error:
        if path.is_dir():
            raise UsageError(f"{where}: a folder, expected a .toml file") from None
        raise UsageError(f"{where}: {error}") from None
    except OSError as error:
        raise UsageError(f"{where}: cannot be read ({error.strerror or error})") from None
    if not given:
        raise UsageError(f"{where}: it is empty; name at least a defense or an attack")
    given.setdefault("name", path.stem)
    start = path.parent
    if PATHS_FROM in given:
        if given.pop(PATHS_FROM) != WORKING_FOLDER:
            raise UsageError(f"{where}: {PATHS_FROM} can only be '{WORKING_FOLDER}'")
        start = Path()
    for key in ("plugin", "model", "root", "checkpoint"):
        if key in given:
            given[key] = _from(start, given[key], f"{where}: {key}")
    return given, start


def _parsed(text: str) -> dict[str, Any]:
    if _LONG_KEY.search(text):
        raise FileError(f"a dotted key of more than {MAX_KEY_PARTS} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"not valid TOML ({shortened(str(error), 200)})") from None
    except ValueError:  # what Python refuses to turn into a number
        raise FileError("not valid TOML (a number of too many digits)") from None
    except RecursionError:
        raise FileError("not valid TOML (lists or tables nested too deep)") from None


def _from(folder: Path, value: Any, where: str) -> Any:
    if isinstance(value, list):
        return [_from(folder, one, where) for one in value]
    return started_from(folder, value, where) if isinstance(value, str) else value
