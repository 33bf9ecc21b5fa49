"""What a program of torch.export holds, looked at before torch reads it.

torch.export.load unpickles some members of an archive, evaluates expressions in its JSON, and calls
whatever its nodes name (torch 2.14: `torch/_export/serde/serialize.py`,
`torch/export/pt2_archive/_package.py`). So pickles are followed without being run, expressions are
held against the few words that shapes are written in, and nodes may call a list of operators alone.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import torch

from hashbench.characters import briefly
from hashbench.errors import FileError
from hashbench.files import parsed_json
from hashbench.hashing.weights.archive import members
from hashbench.hashing.weights.torch_file import read_archive

MAX_JSON: Final = 2**27
"""The most bytes of a member of JSON: a transformer's graph has some millions."""

_MAX_VALUES: Final = 20_000_000

_PAYLOAD: Final = re.compile(r"data/(weights/weight|constants/tensor)_\d+")
_CONFIG: Final = re.compile(r"data/(weights|constants)/model_\w+_config\.json")
_GRAPH: Final = "models/model.json"
_SAMPLES: Final = "data/sample_inputs/model.pt"
_HARMLESS: Final = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/\w+|\.format_version"
    r"|\.storage_alignment|extra/[\w./-]+"
)

_OPERATOR: Final = re.compile(r"torch\.ops\.(aten|prims)\.([A-Za-z0-9]\w*|_[A-Za-z]\w*)\.(\w+)")
_WITH_GRAPHS: Final = re.compile(
    r"torch\.ops\.higher_order\."
    r"(cond|map_impl|scan|while_loop|wrap_with_autocast|wrap_with_set_grad_enabled)"
)
"""Control flow, and a part without gradients or in half precision: they run graphs of the file."""

_ON_NUMBERS: Final = re.compile(
    r"torch\.(_sym_sqrt|sym_(float|int|ite|max|min|not|sqrt|sum))"
    r"|math\.(ceil|floor|sqrt|trunc)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_"
    r"|not_)"
)
_WORDS: Final = frozenset(
    (
        *("UPLO", "activation", "algorithm", "api_name", "approximate", "assert_msg", "driver"),
        *("equation", "indexing", "interpolation", "mode", "norm", "ord", "p", "pad_mode"),
        *("padding", "padding_side", "reduce", "rounding_mode", "side"),
    )
)
"""Arguments of operators that are texts and choose among ways to compute. An operator that takes
any other text may reach a file, as from_file does, or write to a stream, as _print does."""

_SYMBOL: Final = re.compile(
    r"Symbol\('\w+'(, (positive|nonnegative|negative|nonpositive|integer|real)=(True|False))*\)"
)
_EXPRESSION: Final = re.compile(
    r"(?:[\s\d+\-*/(),<>=]|\b(?:Add|Mul|Pow|Integer|Rational|Max|Min|Mod|PythonMod|FloorDiv|CeilDiv"
    r"|CleanDiv|IntTrueDiv|ModularIndexing|Where|TruncToInt|ToFloat|Eq|Ne|Lt|Le|Gt|Ge"
    r"|[suz]f?\d+)\b)*"
)
_GUARD: Final = re.compile(
    r"(?:[\s\d+\-*/%()\[\],.<>=!]|'\w+'|\b(?:L|args|kwargs|size|shape|stride|and|or|not|True|False"
    r"|None)\b)*"
)
_NAME: Final = re.compile(r"[A-Za-z0-9_.+\- :]{0,1000}")
_FREE: Final = frozenset(("as_string", "as_strings"))
"""Texts that are arguments of operators: they are quoted wherever they go."""

_CONTAINERS: Final = frozenset(
    (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
)


def refuse_code(content: bytes) -> None:
    """Refuse an archive with anything in it that could run when it is loaded.

    Args:
        content: the whole file.

    Raises:
        FileError: it is damaged, of an older format, or holds what is more than a graph of
            operators with its tensors.
    """
    file = io.BytesIO(content)
    whole = members(file, len(content))
    if len({name.partition("/")[0] for name in whole}) > 1:
        raise FileError("its members lie in several folders: torch.export.save did not write it")
    found = {name.partition("/")[2]: member for name, member in whole.items()}
    for name, member in found.items():
        known = name in (_GRAPH, _SAMPLES) or any(
            kind.fullmatch(name) for kind in (_PAYLOAD, _CONFIG, _HARMLESS)
        )
        if not known or not member.plain:
            raise FileError(
                f"its member '{briefly(name)}' is none that torch.export.save writes of a plain "
                "network; export it again, with a torch of 2.8 or later"
            )
    if _GRAPH not in found:
        raise FileError("there is no graph in it; export it again, with a torch of 2.8 or later")
    for name, member in found.items():
        part = content[member.begin : member.begin + member.size]
        if name == _GRAPH:
            _refuse_calls(_json(part))
        elif _CONFIG.fullmatch(name):
            _refuse_pickles(_json(part))
        elif name == _SAMPLES:
            _refuse_objects(part)


def _json(part: bytes) -> Any:
    if len(part) > MAX_JSON:
        raise FileError(f"its graph has {len(part):,} bytes, expected at most {MAX_JSON:,}")
    return parsed_json(part, values=_MAX_VALUES)


def _refuse_pickles(config: Any) -> None:
    tensors = config.get("config") if isinstance(config, dict) else None
    if not isinstance(tensors, dict):
        raise FileError("the list of its tensors is damaged")
    for name, one in tensors.items():
        if not isinstance(one, dict) or one.get("use_pickle") is not False:
            raise FileError(
                f"its tensor '{briefly(name)}' is a pickled object, which could run any code"
            )
        if not re.fullmatch(r"(weight|tensor)_\d+", str(one.get("path_name"))):
            raise FileError(f"its tensor '{briefly(name)}' is kept in a place that is none")


def _refuse_objects(part: bytes) -> None:
    """Its sample inputs, which torch unpickles: an archive of plain tensors."""
    read_archive(io.BytesIO(part), len(part))


def _refuse_calls(graph: Any) -> None:
    for path, text in _texts(graph):
        key = next((part for part in reversed(path) if part), "")
        if key in ("target", "as_operator"):
            if not _may_be_called(text):
                raise FileError(
                    f"it calls '{briefly(text)}', which is no operator of torch's on tensors"
                )
        elif key == "expr_str":
            if not _EXPRESSION.fullmatch(_SYMBOL.sub("0", text)):
                raise FileError(f"'{briefly(text)}' is no size of a tensor")
        elif key == "guards_code":
            if not _GUARD.fullmatch(text.replace('"', "'")):
                raise FileError(f"'{briefly(text)}' is no condition on the sizes of its inputs")
        elif key in ("in_spec", "out_spec"):
            _refuse_containers(text)
        elif key in _FREE or path[-2:-1] == ("metadata",):
            continue
        elif not _NAME.fullmatch(text):
            raise FileError(f"its graph calls something '{briefly(text)}', which is no name")


def _may_be_called(target: str) -> bool:
    """Whether a node may call what is named so."""
    if _WITH_GRAPHS.fullmatch(target) or _ON_NUMBERS.fullmatch(target):
        return True
    if (named := _OPERATOR.fullmatch(target)) is None:
        return False
    operator: Any = torch.ops
    for name in named.groups():
        operator = getattr(operator, name, None)
    # Those without a kernel are TorchScript's own: save, seeds, texts.
    return (
        isinstance(operator, torch._ops.OpOverload)
        and torch._C._dispatch_has_kernel(operator.name())
        and all(
            one.name in _WORDS
            for one in operator._schema.arguments
            if str(one.type) in ("str", "Optional[str]")
        )
    )


def _refuse_containers(text: str) -> None:
    """Its inputs and outputs: tensors in tuples, lists and dicts."""
    try:
        spec = json.loads(text) if text else []
    except (ValueError, RecursionError):
        raise FileError("the form of its inputs is damaged") from None
    level = [spec]
    while level:
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                if one.get("type") not in _CONTAINERS:
                    raise FileError(
                        f"its inputs or outputs come in a '{briefly(str(one.get('type')))}', "
                        "expected tensors in tuples, lists and dicts"
                    )
                inner.extend(value for key, value in one.items() if key == "children_spec")
            elif isinstance(one, list):
                inner.extend(one)
        level = inner


def _texts(value: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text in plain data with the keys that lead there; a table's keys are texts too."""
    stack: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while stack:
        here, one = stack.pop()
        if isinstance(one, Mapping):
            for key, inner in one.items():
                yield ("key",), key
                stack.append(((*here, key), inner))
        elif isinstance(one, list):
            stack.extend(((*here, ""), inner) for inner in one)
        elif isinstance(one, str):
            yield here, one
