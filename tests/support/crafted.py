"""Folders of results whose sums are right, but whose content is nothing that a run writes."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hashbench.results.sums import sealed

Craft = Callable[[Path], None]
"""Changes a copy of a golden folder."""

HUGE = 10**400
ODD: Mapping[str, Any] = {
    "none": None, "text": "x", "empty": "", "list": [], "table": {}, "nested": [[1]], "true": True,
    "huge": HUGE, "infinite": float("inf"), "nan": float("nan"), "minus": -1, "five": 5.0,
    "long": "a" * 1_000_000, "escape": "\x1b]0;pwned\x07", "turned": "\u202eabc", "up": "../../x",
    "formula": "=1+1", "nul": "a\0b", "fraction": 1.5, "zero": 0, "pathlike": "/dev/zero",
}  # fmt: skip


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "ran"))


def plan_of(folder: Path) -> Path:
    """The largest plan of a folder."""
    return max((folder / "plans").glob("*.json"), key=lambda path: path.stat().st_size)


def score_of(folder: Path) -> Path:
    """The artifact of a clean cell's scores."""
    return next((folder / "artifacts/scores").glob("score-codes-none*"))


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    """Set a value inside of lists and tables."""
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def edit_plan(*path: Any, value: Any) -> Craft:
    """A plan with another value somewhere, and the right sum."""

    def craft(folder: Path) -> None:
        plan = json.loads(plan_of(folder).read_text())
        put(plan, path, value)
        plan_of(folder).write_text(json.dumps(sealed(plan)))

    return craft


def edit_record(*path: Any, value: Any) -> Craft:
    """A record of scores with another value somewhere, and the right sum."""

    def craft(folder: Path) -> None:
        done = score_of(folder) / "done.json"
        record = json.loads(done.read_text())
        put(record, path, value)
        done.write_text(json.dumps(sealed(record)))

    return craft


def put_file(name: str, content: bytes) -> Craft:
    """Another content of a file of scores, and the right sums."""

    def craft(folder: Path) -> None:
        (score_of(folder) / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        edit_record("files", name, value=digest)(folder)

    return craft


def edit_scores(*path: Any, value: Any) -> Craft:
    """Scores with another value somewhere, and the right sums."""

    def craft(folder: Path) -> None:
        scores = json.loads((score_of(folder) / "scores.json").read_text())
        put(scores, path, value)
        put_file("scores.json", json.dumps(scores).encode())(folder)

    return craft


def put_note(value: Any) -> Craft:
    """A failure note with another reason."""

    def craft(folder: Path) -> None:
        for path in (folder / "failures").iterdir():
            path.write_text(json.dumps({"schema": 2, "reason": value, "traceback": value}))

    return craft


def npz(**arrays: Any) -> bytes:
    """An .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def header(descr: str, shape: str, length: int | None = None) -> bytes:
    """The beginning of an array that claims to be something."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + (length or len(text)).to_bytes(2, "little") + text


def per_query_files(payload: Path) -> Iterator[tuple[str, bytes]]:
    """Files that are no average precisions of 8 queries."""
    right = np.full(8, 0.5)
    for name, array in {
        "short": right[:7], "long": np.full(9, 0.5), "none": right[:0], "scalar": np.array(0.5),
        "square": np.full((8, 8), 0.5), "float32": right.astype("f4"), "int": np.zeros(8, int),
        "bool": np.zeros(8, bool), "text": np.array(["x"] * 8), "complex": np.zeros(8, complex),
        "nan": right * np.nan, "infinite": right * np.inf, "negative": -right, "above": right * 3,
        "other mean": right, "big endian": right.astype(">f8"), "void": np.zeros(8, "V8"),
        "record": np.zeros(8, [("a", "f8")]), "date": np.zeros(8, "M8[s]"),
        "object": np.array([Payload(payload)] * 8, object),
        "bomb": np.zeros(2**27, np.uint8),
    }.items():  # fmt: skip
        yield name, npz(expected=array, best=array, worst=array, stable=array)
    yield "no expected", npz(best=right)
    yield "no array at all", npz()
    yield "claims", zipped({"expected.npy": header("'<f8'", "(1099511627776,)")})
    yield "claims eight", zipped({"expected.npy": header("'<f8'", "(8,)")})
    yield "negative length", zipped({"expected.npy": header("'<f8'", "(-8,)") + bytes(64)})
    yield (
        "many axes",
        zipped({"expected.npy": header("'<f8'", "(8," + "1," * 400 + ")") + bytes(64)}),
    )
    yield "nested header", zipped({"expected.npy": header("(" * 5_000, "(8,)") + bytes(64)})
    yield "pickled", zipped({"expected.npy": pickle.dumps(Payload(payload))})
    yield (
        "object header",
        zipped({"expected.npy": header("'|O'", "(8,)") + pickle.dumps([Payload(payload)] * 8)}),
    )
    yield "header length", zipped({"expected.npy": header("'<f8'", "(8,)", 65_535) + bytes(64)})
    yield "zeros", zipped({"expected.npy": bytes(2**28)})
    yield "lzma", zipped({"expected.npy": header("'<f8'", "(8,)") + bytes(64)}, zipfile.ZIP_LZMA)
    yield "bzip2", zipped({"expected.npy": header("'<f8'", "(8,)") + bytes(64)}, zipfile.ZIP_BZIP2)
    yield "many members", zipped({f"{number}.npy": b"" for number in range(20_000)})
    yield "outside", zipped({"../../expected.npy": header("'<f8'", "(8,)") + bytes(64)})
    whole = npz(expected=right)
    yield "comment", whole[:-2] + b"\x05\x00hello"
    yield "no end", whole[:-22]
    yield "end alone", whole[-22:]
    yield "no zip file", b"x" * 1_000
    yield "array", header("'<f8'", "(8,)") + bytes(64)
    encrypted = bytearray(whole)
    for place in (whole.find(b"PK\3\4") + 6, whole.find(b"PK\1\2") + 8):
        encrypted[place] |= 1
    yield "encrypted", bytes(encrypted)
    size = bytearray(whole)
    place = whole.find(b"PK\1\2") + 24
    size[place : place + 4] = (2**32 - 2).to_bytes(4, "little")
    yield "claimed size", bytes(size)


def scores_files() -> Iterator[tuple[str, bytes]]:
    """Contents of `scores.json` that hold no scores."""
    yield "empty", b""
    yield "no JSON", b"{"
    yield "no UTF-8", b'{"metrics": "\xff"}'
    yield "UTF-16", "{}".encode("utf-16")
    yield "deep", b'{"metrics":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    yield "deep table", b'{"a":' * 960 + b"1" + b"}" * 960
    yield "digits", b'{"metrics": {"map": ' + b"9" * 100_000 + b"}}"
    yield "exponent", b'{"metrics": {"map": 1e999999999}, "curve": {}}'
    yield "surrogate", b'{"metrics": {"\\ud800": 1}}'
    yield "large", b'{"metrics": "' + b"a" * 10**8 + b'"}'
    yield "many", b"[" + b"[]," * 1_300_000 + b"[]]"


def crafted(payload: Path) -> Iterator[tuple[str, Craft]]:
    """Every crafted folder, by what is wrong with it.

    Args:
        payload: a file that a pickle would write.
    """
    for name in ("map", "chance", "distinct-codes", "map(ties=best)", "queries-without-target"):
        for odd, value in ODD.items():
            yield f"{name} is {odd}", edit_scores("metrics", name, value=value)
    for odd, value in ODD.items():
        yield f"metrics are {odd}", edit_scores("metrics", value=value)
        yield f"the curve is {odd}", edit_scores("curve", value=value)
        yield f"recall is {odd}", edit_scores("curve", "recall", value=value)
        yield f"precision holds {odd}", edit_scores("curve", "precision", value=[value] * 20)
        yield f"a metric is named {odd}", edit_scores("metrics", str(value)[: 10**6], value=0.5)
        yield f"seconds are {odd}", edit_record("seconds", value=value)
        yield f"files are {odd}", edit_record("files", value=value)
        yield f"a sum is {odd}", edit_record("files", "scores.json", value=value)
        yield f"a file is named {odd}", edit_record("files", str(value)[: 10**6], value="0" * 64)
        yield f"the key is {odd}", edit_record("key", value=value)
        yield f"the schema is {odd}", edit_record("schema", value=value)
        yield f"the environment is {odd}", edit_record("environment", value=value)
        yield f"the reason is {odd}", put_note(value)
    for name in ("/dev/zero", "/etc/passwd", "../done.json", ".", "..", "", "a/b", "done.json"):
        yield f"it names {name}", edit_record("files", value={name: "0" * 64})
    yield (
        "it names many files",
        edit_record("files", value={f"f{number}": "0" * 64 for number in range(100_000)}),
    )
    for name, content in per_query_files(payload):
        yield f"per query: {name}", put_file("per_query.npz", content)
    for name, content in scores_files():
        yield f"scores: {name}", put_file("scores.json", content)
    yield from crafted_plans()


def crafted_plans() -> Iterator[tuple[str, Craft]]:
    """Plans that no run can have written."""
    cell = ("dataset", "loss", "backbone", "bits", "defense", "attack", "eps", "seed")
    for odd, value in ODD.items():
        for name in (*cell, "protocol", "training"):
            yield f"{name} is {odd}", edit_plan("cells", 1, "cell", name, value=value)
        for name in ("cell", "scores", "steps", "attack", "facts"):
            yield f"a cell's {name} is {odd}", edit_plan("cells", 1, name, value=value)
        for name in ("cells", "protocols", "trainings", "asked", "suite", "schema", "number"):
            yield f"the plan's {name} is {odd}", edit_plan(name, value=value)
        yield f"a cell is {odd}", edit_plan("cells", 1, value=value)
        yield f"there is a cell {odd}", edit_plan("cells", value=[value])
        for what in ("protocols", "trainings"):
            yield f"{what} hold {odd}", edit_table(what, value=value)
        for name in ("query", "classes", "top_k", "ties", "normalize", "split", "version"):
            yield f"the protocol's {name} is {odd}", edit_table("protocols", name, value=value)
        yield f"a training's base is {odd}", edit_table("trainings", "base", value=value)
        yield (
            f"what was reported is {odd}",
            edit_table("trainings", "base", value={"imported": "x", "reported": value}),
        )
        for name in ("kind", "slug", "key"):
            yield f"an address' {name} is {odd}", edit_address(name, value)
        for name in ("name", "aim", "access", "transfers", "parameters"):
            yield f"an attack's {name} is {odd}", edit_facts(name, value=value)
        yield f"an attack's steps are {odd}", edit_facts("parameters", "steps", value=value)
    for eps in (
        "1e999999999",
        "1e-9999999",
        "9" * 5_000,
        "1/0",
        "-1/255",
        "2",
        "nan",
        "1/" + "9" * 10**6,
    ):
        yield f"the radius is {eps[:20]}", edit_plan("cells", 1, "cell", "eps", value=eps)


def edit_table(table: str, *path: Any, value: Any) -> Craft:
    """A change in the first protocol or training of a plan."""

    def craft(folder: Path) -> None:
        plan = json.loads(plan_of(folder).read_text())
        put(plan, (table, next(iter(plan[table])), *path), value)
        plan_of(folder).write_text(json.dumps(sealed(plan)))

    return craft


def edit_address(name: str, value: Any) -> Craft:
    """A change in an address, wherever the plan's format has it."""

    def craft(folder: Path) -> None:
        plan = json.loads(plan_of(folder).read_text())
        where = ("addresses", 0) if "addresses" in plan else ("cells", 1, "scores")
        put(plan, (*where, name), value)
        plan_of(folder).write_text(json.dumps(sealed(plan)))

    return craft


def edit_facts(*path: Any, value: Any) -> Craft:
    """A change in the facts of an attack, wherever the plan's format has them."""

    def craft(folder: Path) -> None:
        plan = json.loads(plan_of(folder).read_text())
        where = ("facts", 0) if "facts" in plan else ("cells", 1, "facts")
        put(plan, (*where, *path), value)
        plan_of(folder).write_text(json.dumps(sealed(plan)))

    return craft
