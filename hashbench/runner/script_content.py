"""What a module or a function of TorchScript computes, as text and the values that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import torch

_MADE_UP: Final = re.compile(r"___torch_mangle_\d+\.")
"""What torch puts into the name of a class that it compiled more than once in a process."""

_PLACE: Final = re.compile(r" # \S.*:\d+:\d+$", re.MULTILINE)
"""Where in a file an operation stood."""


def graphs_of(script: Any) -> Iterator[tuple[str, list[Any]]]:
    """Each method's graph, with what it calls put in its place.

    Yields:
        The text, and what the text does not write out: tensors and lists that are constants of it,
        and the attributes of the module that it reads. Parameters, buffers and parts of the module
        are not among them.
    """
    if isinstance(script, torch.jit.ScriptFunction):
        graph = script.graph.copy()
        torch._C._jit_pass_inline(graph)
        yield _text(graph), _constants(graph)
        return
    inside: Any = script._c
    for name in sorted(inside._method_names()):
        graph = inside._get_method(name).graph.copy()
        torch._C._jit_pass_inline(graph)
        yield f"{name}\n{_text(graph)}", [*_constants(graph), *_attributes(graph, inside)]


def _text(graph: Any) -> str:
    return _PLACE.sub("", _MADE_UP.sub("", str(graph.str(False))))


def _constants(graph: Any) -> list[Any]:
    found = []
    for node in graph.findAllNodes("prim::Constant", True):
        for name in node.attributeNames():
            kind = node.kindOf(name)
            if kind in ("t", "ts", "ival"):
                found.append(getattr(node, kind)(name))
    return found


def _attributes(graph: Any, inside: Any) -> Iterator[Any]:
    names = {node.s("name") for node in graph.findAllNodes("prim::GetAttr", True)}
    for name in sorted(names):
        if inside.hasattr(name):
            value = inside.getattr(name)
            if not isinstance(value, torch._C.ScriptModule):
                yield [name, value]
