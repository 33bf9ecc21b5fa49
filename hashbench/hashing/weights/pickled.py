"""What a pickle describes, without building it: its steps are followed, nothing it names runs.

A pickle is a program for a small stack machine. This machine knows plain data and the calls by
which torch describes tensors; every other name is noted and stands for nothing. No import, no call
and no attribute access follows from what a file says. The steps and their bytes are bounded, and so
is the work of each.

The format: CPython's `Lib/pickletools.py`, which takes a pickle apart; torch's side of it:
`torch/_utils.py` and `torch/serialization.py`.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from hashbench.characters import briefly
from hashbench.errors import FileError, PickledObjectError
from hashbench.hashing.weights.arrays import PickledArray, PickledDtype
from hashbench.hashing.weights.pickled_values import (
    Name,
    Opaque,
    Storage,
    pairs,
    plain_key,
    stored_values,
    tensor_of,
)
from hashbench.hashing.weights.stored import (
    HOW_TO_SAVE,
    OddTensor,
    checked_sides,
)
from hashbench.hashing.weights.torch_names import (
    NESTED,
    REBUILT,
    UNINITIALIZED,
    is_known,
)

MAX_BYTES: Final = 2**28
"""The most bytes of a pickle: beside a thousand tensors one has some 100,000; arrays of numpy lie
inside."""

_MAX_STEPS: Final = 300_000
_MAX_WORK: Final = 2_000_000
"""Items that are copied out of lists; a list can be named again and again at no cost to a file."""

_MAX_NAME: Final = 10_000
"""Characters of a name: each time one is put together, its text is written anew."""


@dataclass(frozen=True)
class Described:
    """What a pickle describes.

    Attributes:
        content: plain data, `PickledTensor`, `OddTensor`, `Name`, `Opaque`. Tuples, lists and dicts
            may hold themselves. Keys of dicts are texts, numbers or instances of the classes named.
        storages: every storage that it names, by key.
        objects: the first class that is not known and of which there is an object; or nothing.
    """

    content: Any
    storages: Mapping[str, Storage]
    objects: str = ""


def described(file: IO[bytes]) -> Described:
    """What the pickle at a file's present place describes; the file is left behind its end.

    Raises:
        FileError: it is no whole pickle, asks for too much, or names what is no plain data.
    """
    machine = _Machine()
    try:
        return Described(machine.run(file), machine.storages, machine.objects)
    except FileError:
        raise
    except (ValueError, TypeError, LookupError, OverflowError, struct.error):
        # What a step finds wrong with its bytes, its operands or the stack.
        raise FileError("its pickle is damaged or cut off") from None


def more_than_tensors(name: str) -> str:
    """Why a pickle with objects of some class, or calls of a function, is not read."""
    return (
        f"it holds more than tensors ('{briefly(name)}': a whole pickled model?), and "
        f"reading that could run any code, so it is not read; {HOW_TO_SAVE}"
    )


class _Machine:
    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._foreign = ""
        self._work = 0
        self._bytes = 0
        self.objects = ""
        self.storages: dict[str, Storage] = {}

    def run(self, file: IO[bytes]) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count > _MAX_STEPS:
                raise FileError(f"its pickle has more than {_MAX_STEPS:,} steps")
            if opcode.name == "STOP":
                break
            self._step(opcode.name, argument)
        if self._foreign:
            raise PickledObjectError(more_than_tensors(self._foreign))
        return self._stack.pop()

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self._stack.append(argument)
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _GETS:
            self._stack.append(self._memo[int(argument)])
        elif name in _PUTS:
            self._memo[int(argument)] = self._stack[-1]
        elif (step := _STEPS.get(name)) is not None:
            step(self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise FileError(f"its pickle has a step that torch does not write ({name})")

    # --- the stack ---

    def _marked(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _pop(self, _: Any) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def _tuple(self, count: int) -> None:
        items = tuple(self._stack[-count:])
        if len(items) < count:
            raise IndexError
        self._stack[-count:] = [items]

    def _append(self, items: list[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            target.update(pairs(items))

    def _one(self) -> list[Any]:
        return [self._stack.pop()]

    def _two(self) -> list[Any]:
        value, key = self._stack.pop(), self._stack.pop()
        return [key, value]

    # --- names and calls ---

    def _name(self, module: object, name: object) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError
        if len(module) + len(name) > _MAX_NAME:
            raise FileError(f"its pickle names something in more than {_MAX_NAME:,} characters")
        full = f"{module}.{name}"
        return Name(full)

    def _global(self, argument: str) -> None:
        self._stack.append(self._name(*argument.split(" ", 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(self._name(module, name))

    def _inst(self, argument: str) -> None:
        items = self._marked()
        self._stack.append(self._called(self._name(*argument.split(" ", 1)), tuple(items)))

    def _obj(self, _: Any) -> None:
        function, *items = self._marked()
        self._stack.append(self._called(function, tuple(items)))

    def _reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._stack.append(self._called(function, arguments))

    def _new(self, _: Any) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        self._stack.append(self._instance(kind, arguments))

    def _new_with_keywords(self, _: Any) -> None:
        self._stack.pop()
        self._new(None)

    def _instance(self, kind: object, arguments: object) -> Any:
        """An object of a class: of one that is not known, its name is all that stays of it."""
        if not isinstance(kind, Name) or is_known(kind.full):
            return self._called(kind, arguments)
        self.objects = self.objects or kind.full
        return Opaque(kind.full)

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        if isinstance(self._stack[-1], PickledArray | PickledDtype):
            self._stack[-1].fill(state)
        # All else stays without its attributes, such as a state dict's metadata.

    def _called(self, function: object, arguments: object) -> Any:
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise ValueError
        name = function.full
        if name in ("copyreg._reconstructor", "copy_reg._reconstructor"):
            return self._instance(arguments[0], arguments[1:])
        if not is_known(name):
            self._foreign = self._foreign or name
        if name in _RECONSTRUCTS:
            return PickledArray()
        if name == "numpy.dtype" and isinstance(arguments[0], str):
            return PickledDtype(arguments[0].lstrip("<>|="))
        if name == "_codecs.encode" and arguments[1:] == ("latin1",):
            return self._encoded(arguments[0])
        if name == "torch._tensor._rebuild_from_type_v2":  # a tensor with attributes
            inner, _, given = arguments[:3]
            if inner == function:
                raise ValueError
            return self._called(inner, given)
        if name in ("collections.OrderedDict", "collections.defaultdict", "collections.Counter"):
            return self._new_dict(arguments)
        if name == "torch.Size":
            return checked_sides(arguments[0], "shape")
        if name.startswith(UNINITIALIZED):
            return OddTensor("a parameter that was never given values")
        if name.startswith("torch._utils._rebuild_parameter"):
            return arguments[0]
        if name in ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"):
            return tensor_of(*arguments[:4], dtype=None)
        if name == "torch._utils._rebuild_tensor_v3":
            return tensor_of(*arguments[:4], dtype=arguments[6])
        if name.startswith(NESTED):
            return OddTensor("no plain tensor (nested)")
        if name.startswith(REBUILT):
            kind = name.removeprefix(REBUILT).removesuffix("_tensor").replace("_", " ")
            return OddTensor(f"no plain tensor ({briefly(kind)})")
        return Opaque(name)

    def _encoded(self, text: object) -> bytes:
        """Bytes as protocol 2 writes them."""
        if not isinstance(text, str):
            raise ValueError
        self._bytes += len(text)
        if self._bytes > MAX_BYTES:
            raise FileError(f"its pickle makes more than {MAX_BYTES:,} bytes")
        return text.encode("latin1")

    def _new_dict(self, arguments: tuple[Any, ...]) -> dict[Any, Any]:
        """Empty, or of the pairs that Python 2 wrote."""
        made: dict[Any, Any] = {}
        for pair in arguments[0] if arguments and isinstance(arguments[0], list) else ():
            self._work += 1
            if self._work > _MAX_WORK:
                raise FileError(f"its pickle copies more than {_MAX_WORK:,} items")
            key, value = pair
            made[plain_key(key)] = value
        return made

    def _storage(self, identity: object) -> None:
        storage = stored_values(identity)
        if isinstance(storage, Storage):
            self.storages[storage.key] = storage
        self._stack.append(storage)


_RECONSTRUCTS: Final = frozenset(
    f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")
)
_CONSTANTS: Final = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    )
)
_EMPTY: Final[Mapping[str, Callable[[], Any]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,
}
_GETS: Final = ("GET", "BINGET", "LONG_BINGET")
_PUTS: Final = ("PUT", "BINPUT", "LONG_BINPUT")

# Each step is given the machine and the argument that stands in the pickle.
_STEPS: Final[Mapping[str, Callable[[_Machine, Any], None]]] = {
    "MEMOIZE": lambda m, _: m._memo.__setitem__(len(m._memo), m._stack[-1]),
    "MARK": lambda m, _: m._marks.append(len(m._stack)),
    "POP_MARK": lambda m, _: m._marked().clear(),
    "POP": _Machine._pop,
    "DUP": lambda m, _: m._stack.append(m._stack[-1]),
    "LIST": lambda m, _: m._stack.append(m._marked()),
    "FROZENSET": lambda m, _: m._stack.append(m._marked()),
    "TUPLE": lambda m, _: m._stack.append(tuple(m._marked())),
    "TUPLE1": lambda m, _: m._tuple(1),
    "TUPLE2": lambda m, _: m._tuple(2),
    "TUPLE3": lambda m, _: m._tuple(3),
    "DICT": lambda m, _: m._stack.append(dict(pairs(m._marked()))),
    "APPEND": lambda m, _: m._append(m._one()),
    "APPENDS": lambda m, _: m._append(m._marked()),
    "ADDITEMS": lambda m, _: m._append(m._marked()),
    "SETITEM": lambda m, _: m._set(m._two()),
    "SETITEMS": lambda m, _: m._set(m._marked()),
    "GLOBAL": _Machine._global,
    "STACK_GLOBAL": _Machine._stack_global,
    "INST": _Machine._inst,
    "OBJ": _Machine._obj,
    "NEWOBJ": _Machine._new,
    "NEWOBJ_EX": _Machine._new_with_keywords,
    "REDUCE": _Machine._reduce,
    "BUILD": _Machine._build,
    "BINPERSID": lambda m, _: m._storage(m._stack.pop()),
}
