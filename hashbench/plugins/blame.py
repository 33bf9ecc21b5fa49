"""Whose line it was: an error of a plugin's own code, told with the file and line that raised it.

One place for all of it: whoever calls a plugin's code tells its errors with `told`, refuses them
with `refusing`, and holds its answers against the contract with `expected`.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

from hashbench.characters import shortened
from hashbench.errors import HashbenchError, PluginError, UsageError, without_number
from hashbench.plugins.base import Plugin
from hashbench.records import default_of
from hashbench.suggestions import did_you_mean

OURS: Final = "hashbench"
"""The package whose frames are told where a plugin has none."""

LONGEST: Final = 2_000
"""Characters of what an error says: the place stands behind them, and is never cut off."""

_CONTRACTS: Final = (".contract", ".base")
"""How the modules of hashbench end that say what a plugin is, and run none of its code."""

_BEGINS_WITH_A_VOWEL: Final = re.compile(
    r"[AEFHILMNORSX][A-Z0-9]"  # spoken letter by letter: an RNNCell
    r"|(?![A-Z]{2})(?!(?i:uni|usa|use|uti|eu|one|once))(?i:[aeiou])"  # an int, a UsageError
    r"|n[bcdfghjklmnpqrstvwxz]"  # an ndarray
)
"""Names of types that are spoken with a vowel first."""

AnswerT = TypeVar("AnswerT")
Author = Plugin | type[Plugin]
"""A plugin, or its class."""


def told(error: BaseException, *plugins: Author) -> str:
    """What went wrong, in one line: `AttributeError: no attribute 'ouputs' (my_attack.py:9)`.

    Our own errors are written for people and stay as they are; of others the type is half of the
    message. What the system says is told with its file and without its number.

    Args:
        error: as it was caught.
        plugins: whose code may have raised it; without any no place is told.
    """
    if isinstance(error, HashbenchError):
        return " ".join(str(error).split())
    text = wrongly_made(error) if plugins else ""
    text = text or shortened(" ".join(_words(error).split()), LONGEST)
    place = place_of(error, *plugins)
    return f"{text} ({place})" if place else text


def place_of(error: BaseException, *plugins: Author) -> str:
    """Where a plugin raised an error: `my_attack.py:9`, `my_package/attack.py:9`.

    The innermost frame that lies in the file or the package of one of the plugins. Where there is
    none, as of arguments that do not fit, the innermost frame of hashbench, which called it; but
    nothing of what the system refuses us.

    Args:
        error: as it was caught; what it came from is looked at too.
        plugins: whose code may have raised it.

    Returns:
        Nothing without a plugin, or where there is no such frame.
    """
    own = own_place(error, *plugins)
    if own or not plugins or isinstance(error, OSError):
        return own
    return _innermost(error, _is_ours)


def own_place(error: BaseException, *plugins: Author) -> str:
    """The first half of `place_of`: nothing where no frame is the plugins' own."""
    homes = [_home(plugin) for plugin in plugins]
    return _innermost(error, lambda name: any(_within(name, home) for home in homes))


def place_in_module(error: BaseException, module: str) -> str:
    """Where a module raised an error as it was imported; of a wrong syntax, where that is."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{Path(error.filename).name}:{error.lineno}"
    home = module.split(".")[0] if module.split(".")[0] != OURS else module
    return _innermost(error, lambda name: name == home or name.startswith(f"{home}."))


def defined_at(what: object, method: str = "") -> str:
    """Where a class, or a method of it, is written: `my_attack.py:12`; nothing where unknown.

    The line is that of the first decorator, where there is one.

    Args:
        what: a class, or an object of it.
        method: its name; by default the class itself, and also where the class does not have it,
            or has it of ours.
    """
    cls = what if isinstance(what, type) else type(what)
    found = getattr(cls, method, None) if method else None
    if _is_ours(getattr(found, "__module__", None)) and not _is_ours(cls.__module__):
        found = None
    code = getattr(inspect.unwrap(found), "__code__", None) if callable(found) else None
    try:
        if code is not None:
            module = found.__module__ or cls.__module__
            return _place(module, code.co_filename, code.co_firstlineno)
        return _place(cls.__module__, inspect.getfile(cls), inspect.getsourcelines(cls)[1])
    except (OSError, TypeError):  # made by nobody's file
        return ""


def named(plugin: Author) -> str:
    """How messages call a plugin: `attack 'hag'`."""
    return f"{plugin.card.kind} '{plugin.card.name}'"


@contextmanager
def refusing(plugin: Author, what: str) -> Iterator[None]:
    """Around a call of a plugin's code before a run, or after it: its bug is one sentence.

    Args:
        plugin: whose code is called.
        what: what stands between its name and the error: ` cannot be loaded:`.

    Raises:
        UsageError: for whatever it raised; a `UsageError` and others of ours pass as they are, and
            a broken contract becomes one.
    """
    try:
        yield
    except PluginError as error:
        raise UsageError(str(error)) from error
    except HashbenchError:
        raise
    except (Exception, SystemExit) as error:  # a plugin may raise anything
        raise UsageError(f"{named(plugin)}{what} {told(error, plugin)}") from error


def answer_of(plugin: Plugin, method: str, kinds: type[AnswerT], *given: object) -> AnswerT:
    """What a plugin says of itself, before a run.

    Args:
        plugin: who is asked.
        method: which method answers.
        kinds: what the answer has to be; a union of types does too.
        given: the method's arguments.

    Raises:
        UsageError: the method raises, or answers something else; names its file and line.
    """
    with refusing(plugin, f": its method {method}() raises"):
        answer = getattr(plugin, method)(*given)
    if isinstance(answer, kinds):
        return answer
    start = f"{named(plugin)}: its method {method}() returns {shortened(repr(answer), 200)}"
    raise UsageError(sentence_of(f"{start}, but must return {_kinds(kinds)}", plugin, method))


def expected(
    plugin: Author, method: str, answer: object, kind: type[AnswerT], remedy: str = ""
) -> AnswerT:
    """What a plugin's method returned, once it is what the contract asks for.

    Args:
        plugin: whose.
        method: which.
        answer: what it returned.
        kind: what it has to be.
        remedy: the line to write.

    Raises:
        PluginError: it is something else; says what, and where the method is written.
    """
    if isinstance(answer, kind):
        return answer
    raise broken_contract(
        plugin, method, f"must return {_a(kind.__name__)}, but returned {came(answer)}", remedy
    )


def broken_contract(plugin: Author, method: str, what: str, remedy: str = "") -> PluginError:
    """A broken rule, for its author: the method, what it must do and did, a remedy, file and line.

    Args:
        plugin: whose.
        method: which.
        what: `must ..., but ...`.
        remedy: what to write.
    """
    return PluginError(sentence_of(f"{named(plugin)}: {method}() {what}", plugin, method, remedy))


def sentence_of(start: str, what: object, method: str = "", remedy: str = "") -> str:
    """A sentence with a remedy behind it, and the place of `defined_at` where that is known."""
    place = defined_at(what, method)
    return start + (f": {remedy}" if remedy else "") + (f" ({place})" if place else "")


def came(answer: object) -> str:
    """What came in the place of an answer, in a word: `None`, `a list`, `the class Net`."""
    if answer is None:
        return "None"
    if isinstance(answer, type):
        return f"the class {answer.__name__}"
    return _a(type(answer).__name__)


def _is_ours(module: str | None) -> bool:
    """Whether a module is one of hashbench."""
    return module is not None and module.split(".")[0] == OURS


def _kinds(kinds: Any) -> str:
    """What an answer may be, in words: `an Aim`, `a Surrogate or None`."""
    several = getattr(kinds, "__args__", (kinds,))
    return " or ".join("None" if one is type(None) else _a(one.__name__) for one in several)


def _a(word: str) -> str:
    return f"an {word}" if _BEGINS_WITH_A_VOWEL.match(word) else f"a {word}"


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {without_number(error)}".rstrip(": ")


_MADE: Final = re.compile(
    r"(?P<cls>\w+)\.__init__\(\) (?:missing \d+ required (?:positional|keyword-only) arguments?: "
    r"(?P<left_out>.+)|got an unexpected keyword argument (?P<unknown>'\w+'))(?:\. Did you mean.*)?"
)
"""What Python says where an object is made with the wrong fields."""


def wrongly_made(error: BaseException) -> str:
    """A forgotten or misspelt field of one of our dataclasses, as that; nothing of other errors."""
    found = _MADE.fullmatch(str(error)) if isinstance(error, TypeError) else None
    cls = _ours_in(error, found["cls"]) if found else None
    if found is None or cls is None:
        return ""
    fields = [field for field in dataclasses.fields(cls) if field.init]
    takes = ", ".join(
        field.name if default_of(field) is dataclasses.MISSING else f"[{field.name}]"
        for field in fields
    )
    if found["unknown"]:
        name = found["unknown"].strip("'")
        near = did_you_mean(name, [field.name for field in fields]).partition(" known:")[0]
        what = f"has no field {found['unknown']}{near.rstrip(';')}"
    else:
        what = f"is made without its field {found['left_out']}"
    return f"{type(error).__name__}: {cls.__name__} {what}: write {cls.__name__}({takes})"


def _ours_in(error: BaseException, name: str) -> type[Any] | None:
    """The dataclass of hashbench that the frame which raised an error calls by a name."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames:
        return None
    scope = {**frames[-1].f_globals, **frames[-1].f_locals}
    in_rooms = [vars(one).get(name) for one in scope.values() if _is_room(one)]
    for value in (*scope.values(), *in_rooms):
        if not (isinstance(value, type) and value.__name__ == name):
            continue
        if value.__module__.startswith(f"{OURS}.") and dataclasses.is_dataclass(value):
            return value
    return None


def _is_room(value: object) -> bool:
    """Whether a value is a module of ours, through which a class may be called."""
    return inspect.ismodule(value) and _is_ours(value.__name__)


def _home(plugin: Author) -> tuple[str, ...]:
    """The modules that are a plugin's own: its package; of ours, where its classes are written."""
    cls = plugin if isinstance(plugin, type) else type(plugin)
    package = cls.__module__.split(".")[0]
    if package != OURS:
        return (package,)
    return tuple(
        one.__module__
        for one in cls.__mro__
        if one.__module__.startswith(f"{OURS}.") and not one.__module__.endswith(_CONTRACTS)
    )


def _within(module: str, home: tuple[str, ...]) -> bool:
    return any(module == own or module.startswith(f"{own}.") for own in home)


def _innermost(error: BaseException, is_own: Callable[[str], bool]) -> str:
    """The innermost frame of a module that is asked for, of the error or of what it came from."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        found: tuple[FrameType, int] | None = None
        for frame, line in traceback.walk_tb(at.__traceback__):
            written = frame.f_code.co_filename != "<string>"  # as what dataclasses make
            if written and is_own(str(frame.f_globals.get("__name__", ""))):
                found = frame, line
        if found is not None:
            name = str(found[0].f_globals["__name__"])
            return _place(name, found[0].f_code.co_filename, found[1])
        at = at.__cause__ or at.__context__
    return ""


def _place(module: str, file: str, line: int) -> str:
    """A file by its package's name and not by its folder: the same on every machine."""
    path, parts = Path(file), module.split(".")
    folders = parts if path.name == "__init__.py" else parts[:-1]
    return f"{'/'.join([*folders, path.name])}:{line}"
