"""What an object in memory computes, as a SHA-256: its numbers, and the code of its classes."""

from __future__ import annotations

import copyreg
import functools
import hashlib
import sys
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from enum import Enum
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final
from weakref import ReferenceType

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

from hashbench.runner.script_content import graphs_of

_PLAIN: Final = (
    *(bool, int, float, complex, str, bytes, bytearray, type(None), type(...)),
    *(torch.dtype, torch.Size, torch.device, torch.layout, torch.memory_format, np.dtype),
)
"""Values that their `repr` writes out whole, where they are of these very classes."""

_LIBRARY: Final = frozenset(sys.stdlib_module_names) | {"torch", "numpy", "typing_extensions"}
"""Packages whose classes and functions count by their names: their versions are recorded with every
artifact."""

_NAMED: Final = (
    *(BuiltinFunctionType, MethodWrapperType, MethodDescriptorType, WrapperDescriptorType),
    *(GetSetDescriptorType, MemberDescriptorType),
)
"""Functions in C."""

_OF_ANY_MODULE: Final = frozenset(vars(nn.Module())) | {"forward"}
"""Attributes of a bare module, `training` among them; its tensors are read by name."""

_OF_ANY_GRAPH: Final = frozenset(
    {"_graph", "_code", "_lineno_map", "_prologue_start", "_tracer_cls", "_tracer_extras", "meta"}
    | {"_replace_hooks", "_create_node_hooks", "_erase_node_hooks", "_deepcopy_hooks", "shape_env"}
    | {"train", "eval"}
)
"""Attributes of `torch.fx.GraphModule` beside its code, which says the same."""

_OF_ANY_SCRIPT: Final = frozenset({"_c", "_concrete_type", "_initializing", "forward"})
"""Attributes of a module of TorchScript beside its graphs, which say the same."""

_OF_ANY_CLASS: Final = frozenset({"_abc_impl", "_autograd_function_id", "_backward_cls"})
"""What Python and torch put on classes for themselves, beside names in double underscores."""

_HOOKS: Final = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")

_PICKLED: Final = ("__getstate__", "__reduce__", "__reduce_ex__")
"""Methods of a class that may leave attributes out of what is pickled."""

_MOST: Final = 2**21
"""How many values are looked at; lists of lists that share their parts may stand for far more."""


def module_content(module: nn.Module) -> str:
    """SHA-256 of all that can be seen to decide what a module computes in eval mode.

    These are its parameters and buffers by name, the classes of it and its parts with the code of
    their methods and their attributes, the graphs of TorchScript and of torch.fx, and what hangs on
    it as attributes: numbers, texts, tensors, arrays, functions, and lists, tables and objects of
    these, however deep. An object is what pickling would keep of it. One of which nothing can be
    seen, such as an object in C that cannot be pickled, makes another content each time: nothing is
    taken for the same that may not be. What cannot be seen are globals that a method reads, and
    files. Code is compared as Python compiled it, so another version of Python gives another
    content.
    """
    return _Content().whole(lambda content: content.add_module(module)).hex()


def class_content(cls: type) -> bytes:
    """The code of a class and of those that it builds on, and their attributes, as bytes."""
    return _Content().whole(lambda content: content.add_class(cls))


class _TooMuchError(Exception):
    """More values than are looked at."""


class _Content:
    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        # By id, with the thing itself, which keeps another one from getting that id.
        self._modules: dict[int, tuple[int, nn.Module]] = {}
        self._around: dict[int, int] = {}  # what holds the thing that is looked at, and how deep
        self._classes: dict[type, int] = {}
        self._seen = 0

    def whole(self, add: Callable[[_Content], object]) -> bytes:
        try:
            add(self)
        except (RecursionError, _TooMuchError):
            self._add_opaque(self)
        return self._digest.digest()

    def _say(self, *words: object) -> None:
        self._digest.update(("\0".join(map(str, words)) + "\n").encode(errors="backslashreplace"))

    def _add_opaque(self, value: object) -> None:
        """What cannot be seen is never the same."""
        self._say("opaque", type(value).__qualname__, uuid.uuid4().hex)

    def add_module(self, module: nn.Module) -> None:
        """A module, and its parts in their order; one that stands in several places is one."""
        if id(module) in self._modules:
            self._say("same module", self._modules[id(module)][0])
            return
        self._modules[id(module)] = len(self._modules), module
        if type(module).__module__.startswith("torch._dynamo"):  # what torch.compile gives
            self._say("compiled")
            inside = getattr(module, "_orig_mod", None)
            if isinstance(inside, nn.Module):
                self.add_module(inside)
                return
        self._say("module")
        self.add_class(type(module))
        for own, tensor in _tensors(module):
            self._say("tensor", own)
            self._add_tensor(tensor)
        hidden = self._add_graph(module)
        attributes = [
            (own, value)
            for own, value in sorted(vars(module).items())
            if own not in hidden and (own == "forward" or own not in _OF_ANY_MODULE)
        ]
        self._add_attributes(attributes)
        for kind in _HOOKS:
            hooks = getattr(module, kind)
            self._say(kind, len(hooks))
            for hook in hooks.values():
                self._add(hook)
        parts = list(module._modules.items())
        self._say("parts", len(parts))
        for name, part in parts:
            self._say("part", name)
            self._add(part)

    def _add_graph(self, module: nn.Module) -> frozenset[str]:
        """What a module is in the languages of torch; the names of its attributes that say it."""
        if isinstance(module, torch.jit.ScriptModule):
            for text, values in graphs_of(module):
                self._say("graph", text)
                self._add(values)
            return _OF_ANY_SCRIPT
        if isinstance(module, fx.GraphModule):
            code = module.graph.python_code("self")
            self._say("graph", code.src)
            self._add(dict(sorted(code.globals.items())))
            return _OF_ANY_GRAPH
        return frozenset()

    def _add_attributes(self, attributes: list[tuple[str, Any]]) -> None:
        self._say("attributes", len(attributes))
        for name, value in attributes:
            self._say(repr(name))
            self._add(value)

    def _add_tensor(self, tensor: Tensor) -> None:
        if type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
            self.add_class(type(tensor))
        if is_lazy(tensor) or tensor.is_meta or tensor.is_nested:
            self._add_opaque(tensor)
            return
        self._say(tensor.dtype, tensor.layout, tuple(tensor.shape))
        try:
            tensor = tensor.detach()
            for part in _strided(tensor):
                flat = part.to("cpu").resolve_conj().resolve_neg().contiguous().flatten()
                self._say(flat.dtype, len(flat))
                self._digest.update(flat.view(torch.uint8).numpy().data if len(flat) else b"")
        except (RuntimeError, TypeError, NotImplementedError):  # a kind of tensor of its own
            self._add_opaque(tensor)

    def _add(self, value: object) -> None:
        self._seen += 1
        if self._seen > _MOST:
            raise _TooMuchError
        if type(value) in _PLAIN:
            self._say(type(value).__name__, repr(value))
        elif isinstance(value, nn.Module):
            self.add_module(value)
        elif isinstance(value, Tensor):
            self._add_tensor(value)
        elif isinstance(value, type):
            self.add_class(value)
        elif id(value) in self._around:
            self._say("again", len(self._around) - self._around[id(value)])
        else:
            self._around[id(value)] = len(self._around)
            try:
                if not (self._add_several(value) or self._add_code_of(value)):
                    self._add_object(value)
            finally:
                del self._around[id(value)]

    def _add_several(self, value: object) -> bool:
        """Arrays, lists, sets and tables of Python; whether it was one."""
        if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
            self._say(type(value).__name__, value.dtype.descr, value.shape)
            self._digest.update(np.ascontiguousarray(value).tobytes())
            if type(value).__module__ != "numpy":
                self._add(getattr(value, "__dict__", None))
        elif type(value) in (list, tuple):
            self._say(type(value).__name__, len(value))  # type: ignore[arg-type]
            for one in value:  # type: ignore[attr-defined]
                self._add(one)
        elif type(value) in (set, frozenset):
            self._say("set", *sorted(self._apart(one) for one in value))  # type: ignore[attr-defined]
        elif type(value) is dict:
            self._say("table", len(value))
            for key, one in value.items():
                self._add(key)
                self._add(one)
        elif isinstance(value, range | slice):
            self._say(type(value).__name__)
            self._add((value.start, value.stop, value.step))
        else:
            return False
        return True

    def _apart(self, value: object) -> str:
        """The content of a value by itself, for what has no order."""
        around, self._digest = self._digest, hashlib.sha256()
        try:
            self._add(value)
            return self._digest.hexdigest()
        finally:
            self._digest = around

    def _add_code_of(self, value: Any) -> bool:
        """What is called, or describes code; whether it was that."""
        if isinstance(value, FunctionType):
            self._add_function(value)
        elif isinstance(value, MethodType):
            self._say("method")
            self._add(value.__func__)
            self._add(value.__self__)
        elif isinstance(value, functools.partial):
            self._say("partial")
            self._add((value.func, value.args, value.keywords))
        elif isinstance(value, staticmethod | classmethod):
            self._say(type(value).__name__)
            self._add(value.__func__)
        elif isinstance(value, property):
            self._add((value.fget, value.fset, value.fdel))
        elif isinstance(value, functools.cached_property):
            self._add(value.func)
        elif isinstance(value, functools._lru_cache_wrapper):
            self._add(value.__wrapped__)
        elif isinstance(value, torch.jit.ScriptFunction):
            for text, values in graphs_of(value):
                self._say("graph", text)
                self._add(values)
        elif isinstance(value, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
            self._say("operator", value)
        elif isinstance(value, _NAMED):
            owner = getattr(value, "__objclass__", getattr(value, "__module__", None))
            self._say("in C", owner, value.__qualname__)
            holder = getattr(value, "__self__", None)
            self._add(None if isinstance(holder, ModuleType) else holder)
        elif isinstance(value, np.ufunc):
            name = str(getattr(value, "__name__", ""))
            if getattr(np, name, None) is value:
                self._say("numpy", name)
            else:
                self._add_opaque(value)
        elif isinstance(value, ModuleType) and _of_library(value.__name__):
            self._say("python module", value.__name__)
        else:
            return False
        return True

    def _add_object(self, value: Any) -> None:
        """An object, as what pickling would keep of it, and its attributes."""
        self.add_class(type(value))
        if isinstance(value, Enum):
            self._say("choice", value.name)
            self._add(value._value_)
        elif isinstance(value, torch.Generator):
            self._say(value.device, value.initial_seed())
            self._add_tensor(value.get_state())
        elif isinstance(value, ReferenceType):
            self._add(value())
        elif isinstance(value, ContextVar):
            self._say("global")
        else:
            try:
                told = copyreg.dispatch_table.get(type(value))
                kept: Any = value.__reduce_ex__(4) if told is None else told(value)
            except RecursionError:
                raise
            except Exception:  # it cannot be pickled, which is said in many ways
                self._add_opaque(value)
                return
            if isinstance(kept, str):
                self._say("global", getattr(value, "__module__", ""), kept)
            else:
                self._add([list(one) if hasattr(one, "__next__") else one for one in kept])
            if _says_itself_how_it_is_pickled(type(value)):
                self._add_attributes(sorted(getattr(value, "__dict__", {}).items()))

    def add_class(self, cls: type) -> None:
        """The code of a class and of those that it builds on, and their attributes."""
        if cls in self._classes:
            self._say("same class", self._classes[cls])
            return
        self._classes[cls] = len(self._classes)
        self._say("class", cls.__module__, cls.__qualname__)
        for base in cls.__mro__:
            if _of_library(base.__module__):
                self._say("of", base.__module__, base.__qualname__)
                continue
            self._say("of", base.__qualname__)
            members = [
                (name, member)
                for name, member in sorted(vars(base).items())
                if name not in _OF_ANY_CLASS
                and (not _is_dunder(name) or isinstance(member, FunctionType | property))
            ]
            self._add_attributes(members)

    def _add_function(self, function: Any) -> None:
        module, name = function.__module__ or "", function.__qualname__
        if _of_library(module) and getattr(sys.modules.get(module), name, None) is function:
            self._say("function of", module, name)
            return
        self._say("function", name)
        self._add_code(function.__code__)
        for cell in function.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:  # a name that is not bound yet
                self._say("unbound")
            else:
                self._add(held)
        self._add((function.__defaults__, function.__kwdefaults__, vars(function)))

    def _add_code(self, code: CodeType) -> None:
        self._say("code", len(code.co_code))
        self._digest.update(code.co_code)
        self._say(code.co_names, code.co_varnames, code.co_freevars, code.co_exceptiontable)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._add_code(constant)
            else:
                self._add(constant)


def _of_library(module: str) -> bool:
    return module.partition(".")[0] in _LIBRARY


def _says_itself_how_it_is_pickled(cls: type) -> bool:
    own = [base for base in cls.__mro__ if not _of_library(base.__module__)]
    return any(way in vars(base) for base in own for way in _PICKLED)


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Its own parameters and buffers, those that no state dict holds as well."""
    yield from module.named_parameters(recurse=False, remove_duplicate=False)
    yield from module.named_buffers(recurse=False, remove_duplicate=False)


def _strided(tensor: Tensor) -> Iterator[Tensor]:
    """The numbers of a tensor of any layout, and where they stand."""
    if tensor.layout is torch.sparse_coo:
        tensor = tensor.coalesce()
        yield from (tensor.indices(), tensor.values())
    elif tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        yield from (tensor.crow_indices(), tensor.col_indices(), tensor.values())
    elif tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        yield from (tensor.ccol_indices(), tensor.row_indices(), tensor.values())
    elif tensor.is_quantized:
        yield from (tensor.int_repr(), tensor.dequantize())
    else:
        yield tensor
