"""Files of weights that were made to break their reader: seeded, the same on every run."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

State = dict[str, Tensor]

MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class Crafted:
    """A file.

    Attributes:
        name: what it is.
        content: its bytes.
        suffix: its ending, which readers must not trust.
    """

    name: str
    content: bytes
    suffix: str = ".pth"


def sound_state() -> State:
    """Some layers of a resnet18 and a hash layer: a state dict that a reader must read."""
    generator = torch.Generator().manual_seed(0)
    return {
        "conv1.weight": torch.randn(64, 3, 7, 7, generator=generator),
        "bn1.running_var": torch.rand(64, generator=generator),
        "bn1.num_batches_tracked": torch.tensor(7),
        "hash_layer.weight": torch.randn(16, 512, generator=generator),
        "hash_layer.bias": torch.randn(16, generator=generator),
    }


def saved(content: object, *, legacy: bool = False) -> bytes:
    """What `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def sound_files() -> list[Crafted]:
    """Every form in which the state dict is to be read with equal values."""
    state = sound_state()
    return [
        Crafted("sound zip", saved(state)),
        Crafted("sound legacy", saved(state, legacy=True)),
        Crafted("sound safetensors", safetensors_bytes(state), ".safetensors"),
        Crafted("sound in a dict", saved({"net": state, "epoch": 3, "lr": [0.1, 0.2]})),
        Crafted("sound compiled", saved({f"_orig_mod.{key}": one for key, one in state.items()})),
    ]


def crafted_files(canary: Path, count: int, seed: int) -> list[Crafted]:
    """`count` files: all that are written out below, the rest damaged at random.

    Args:
        canary: a folder that a payload makes when it runs.
        count: how many.
        seed: of the damage.
    """
    rng = random.Random(seed)
    with warnings.catch_warnings():  # that a type is experimental, that a member's name is taken
        warnings.simplefilter("ignore")
        files = [
            *_payloads(str(canary)),
            *_pickle_bombs(),
            *_odd_tensors(),
            *_strides(rng),
            *_archives(rng),
            *_tables(rng),
            *_others(),
        ]
    sound = sound_files()
    while len(files) < count:
        files.append(_damaged(rng.choice(sound), rng, len(files)))
    return files


# --- containers ---


def archive(
    pickled: bytes, storages: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED
) -> bytes:
    """A zip archive as torch lays it out."""
    return zipped(
        [
            ("archive/data.pkl", pickled),
            ("archive/byteorder", b"little"),
            *((f"archive/data/{key}", content) for key, content in (storages or {}).items()),
            ("archive/version", b"3\n"),
        ],
        method,
    )


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def row(pickled: bytes, storages: dict[str, bytes] | None = None, width: int = 4) -> bytes:
    """A row of pickles as torch wrote it before version 1.6."""
    parts = [
        pickle.dumps(MAGIC, 2),
        pickle.dumps(1001, 2),
        pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2),
        pickled,
        pickle.dumps(sorted(storages or {}), 2),
    ]
    for _, content in sorted((storages or {}).items()):
        parts.append(struct.pack("<q", len(content) // width) + content)
    return b"".join(parts)


def tar(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


# --- pickles ---


class _Call:
    """Pickled as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def _payload_pickles(canary: str) -> Iterator[tuple[str, bytes]]:
    for protocol in range(6):
        yield f"REDUCE, protocol {protocol}", pickle.dumps(_Call(os.mkdir, canary), protocol)
        beside = {"state_dict": {"a": [1]}, "x": _Call(os.system, f"mkdir {canary}")}
        yield f"beside, protocol {protocol}", pickle.dumps(beside, protocol)
    text = canary.encode()
    short = b"\x8c" + bytes([len(text)]) + text
    name = b"\x8c\x02os\x8c\x05mkdir\x93"
    dotted = b"\x8c\x02os\x8c\x0dpath.os.mkdir\x93"
    yield "INST", b"(S'" + text + b"'\nios\nmkdir\n."
    yield "OBJ", b"(cos\nmkdir\nS'" + text + b"'\no."
    yield "GLOBAL, dotted", b"\x80\x02cos\npath.os.mkdir\n(S'" + text + b"'\ntR."
    yield "STACK_GLOBAL, dotted", b"\x80\x04" + dotted + short + b"\x85R."
    yield "STACK_GLOBAL", b"\x80\x04" + name + short + b"\x85R."
    yield "NEWOBJ", b"\x80\x02cos\nmkdir\nU" + bytes([len(text)]) + text + b"\x85\x81."
    yield "NEWOBJ_EX", b"\x80\x04" + name + short + b"\x85}\x92."
    yield "BUILD", b"\x80\x02ccollections\nOrderedDict\n)R}U\x0c__setstate__cos\nsystem\nsbU\x01xb."
    yield "PERSID", b"Pmkdir " + text + b"\n."
    yield "BINPERSID", b"\x80\x02U\x05mkdirQ."
    yield "EXT1", b"\x80\x02\x82\x01."
    yield "EXT4", b"\x80\x02\x84\x01\x00\x00\x00."
    yield "eval", b"\x80\x02c__builtin__\neval\nU\x04exit\x85R."
    yield "getattr", b"\x80\x02c__builtin__\ngetattr\ncos\nsystem\nU\x08__call__\x86R."
    rebuild = b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cos\nmkdir\nctorch\nTensor\n"
    yield "rebuilt from a type", rebuild + b"(U" + bytes([len(text)]) + text + b"t}tR."
    yield "storage of bytes", pickle.dumps(sound_state()["hash_layer.bias"], 2)
    yield "a name beside the dict", b"\x80\x02}U\x01acos\nsystem\ns."


def _payloads(canary: str) -> Iterator[Crafted]:
    for name, content in _payload_pickles(canary):
        yield Crafted(f"{name}, raw", content)
        yield Crafted(f"{name}, zip", archive(content))
        yield Crafted(f"{name}, legacy", row(content))
    pickled = pickle.dumps(_Call(os.mkdir, canary), 2)
    yield Crafted("tar", tar([("sys_info", pickled), ("pickle", pickled), ("tensors", b"")]))
    yield Crafted("tar with ../", tar([("../x", pickled), ("/etc/x", pickled)]))
    yield Crafted("TorchScript", zipped([("m/data.pkl", pickled), ("m/constants.pkl", pickled)]))
    array = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"
    yield Crafted("array of objects", array.ljust(128) + pickled)
    yield Crafted("called safetensors", pickled, ".safetensors")
    yield Crafted("zip called safetensors", archive(pickled), ".safetensors")


def _pickle_bombs() -> Iterator[Crafted]:
    bombs = {
        "memo": b"\x80\x02]r\xff\xff\xff\x7f.",
        "memo, many": b"\x80\x02]"
        + b"".join(b"r" + struct.pack("<I", 2**31 + i) for i in range(9))
        + b".",
        "length of text": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
        "length of bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.",
        "length of bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
        "length of integer": b"\x80\x02\x8b\xff\xff\xff\x7fx.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**50) + b"}.",
        "integer of 5,000 digits": b"I" + b"9" * 5_000 + b"\n.",
        "long of 100,000 digits": b"L" + b"9" * 100_000 + b"L\n.",
        "integer of 4 MB": b"\x80\x02\x8b" + struct.pack("<i", 2**22) + b"\x7f" * 2**22 + b".",
        "deep tuples": b"\x80\x02)" + b"\x85" * 200_000 + b".",
        "deep lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
        "deep dicts": b"\x80\x02" + b"}K\x00" * 60_000 + b"}" + b"s" * 60_000 + b".",
        "deep key": b"\x80\x02})" + b"\x85" * 200_000 + b"K\x00s.",
        "marks": b"\x80\x02" + b"(" * 2**22 + b".",
        "doubled": b"\x80\x02](K\x00e" + b"2\x86q\x00h\x00" * 50_000 + b".",
        "laughs": b"\x80\x02]q\x00" + b"]q\x01(h\x00h\x00eq\x00" * 5_000 + b".",
        "copies": b"\x80\x02]("
        + b"K\x00K\x00\x86" * 20_000
        + b"eq\x00"
        + b"ccollections\nOrderedDict\nh\x00\x85R0" * 2_000
        + b".",
        "long names": b"\x80\x04"
        + (b"X" + struct.pack("<I", 5_000_000) + b"a" * 5_000_000 + b"\x94") * 2
        + b"h\x00h\x01\x93" * 90_000
        + b".",
        "long arguments": b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\nq\x00("
        + b"K\x00" * 150_000
        + b"tq\x01"
        + b"h\x00h\x01R" * 50_000
        + b".",
        "a list in itself": b"\x80\x02]q\x00h\x00a.",
        "a dict in itself": b"\x80\x02}q\x00U\x01ah\x00s.",
        "empty stack": b"\x80\x02.",
        "pops": b"\x80\x02" + b"0" * 100 + b".",
        "unhashable key": b"\x80\x02}]K\x01s.",
        "no STOP": b"\x80\x02}q\x00",
        "unknown step": b"\x80\x02\xff.",
        "protocol 250": b"\x80\xfa}.",
        "no text": b"\x80\x02X\x04\x00\x00\x00\xff\xfe\xff\xfe.",
        "steps": b"\x80\x02]" + b"K\x000" * 400_000 + b".",
    }
    for name, content in bombs.items():
        yield Crafted(f"{name}, raw", content)
        yield Crafted(f"{name}, zip", archive(content))
        yield Crafted(f"{name}, legacy", row(content))


# --- tensors ---


def _odd_tensors() -> Iterator[Crafted]:
    types = [one for one in vars(torch).values() if isinstance(one, torch.dtype)]
    for dtype in sorted(set(types), key=str):
        for legacy in (False, True):
            try:
                values = torch.zeros(6 * dtype.itemsize, dtype=torch.uint8).view(dtype)
                content = saved({"hash_layer.weight": values.view(2, 3)}, legacy=legacy)
            except (RuntimeError, NotImplementedError, KeyError, TypeError, AttributeError):
                # A type that torch itself cannot make or save; those of networks it can.
                assert dtype not in (torch.float32, torch.float16, torch.int64, torch.bool)
                continue
            yield Crafted(f"{dtype}, {'legacy' if legacy else 'zip'}", content)
    eye = torch.eye(3)
    odd: dict[str, object] = {
        "sparse": eye.to_sparse(),
        "sparse rows": eye.to_sparse_csr(),
        "meta": torch.empty(10**6, 10**6, device="meta"),
        "quantized": torch.quantize_per_tensor(eye, 0.1, 0, torch.quint8),
        "quantized rows": torch.quantize_per_channel(
            eye, torch.ones(3), torch.zeros(3), 0, torch.qint8
        ),
        "nested": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        "lazy": torch.nn.LazyLinear(3).state_dict()["weight"],
        "complex view": torch.zeros(3, dtype=torch.complex64).conj(),
        "expanded": torch.zeros(1).expand(40_000, 40_000),
        "expanded rows": torch.zeros(1, 512).expand(10**9, 512),
        "expanded to nothing": torch.zeros(1).expand(0, 2**40),
        "windows": torch.zeros(80_000).as_strided((40_000, 40_000), (1, 1)),
    }
    for name, value in odd.items():
        yield Crafted(name, saved({"hash_layer.weight": value}))
        yield Crafted(f"{name}, wrapped", saved({"model": {"module.hash_layer.weight": value}}))
    alias = torch.zeros(2**18)
    yield Crafted("aliases", saved({f"layer1.{i}.conv1.weight": alias for i in range(10_000)}))


class _Storage:
    def __init__(self, kind: object, key: object, count: object, *more: object) -> None:
        self.identity = ("storage", kind, key, "cpu", count, *more)


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: object) -> object:
        return value.identity if isinstance(value, _Storage) else None


def _pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, 2).dump(value)
    return buffer.getvalue()


def _tensor(storage: object, offset: object, shape: object, strides: object) -> _Call:
    rebuild = torch._utils._rebuild_tensor_v2
    return _Call(rebuild, storage, offset, shape, strides, False, OrderedDict())


def _strides(rng: random.Random) -> Iterator[Crafted]:
    numbers: list[object] = [0, 1, 2, 3, 16, 512, -1, 2**31, 2**62, 2**70, -(2**63), True, 0.5, "3"]
    for place in range(60):
        sides = tuple(rng.choice(numbers) for _ in range(rng.randrange(4)))
        steps = tuple(rng.choice(numbers) for _ in range(rng.choice([len(sides), 2])))
        count = rng.choice([64, 64, 64, 0, -1, 2**40, 2**62, "64"])
        key = rng.choice(["0", "0", "0", "1", "../0", "/etc/passwd", 0])
        kind = rng.choice([torch.FloatStorage, torch.FloatStorage, torch.BoolStorage, torch.Tensor])
        made = _tensor(_Storage(kind, key, count), rng.choice(numbers), sides, steps)
        content = _pickled({"hash_layer.weight": made})
        storages = {"0": bytes(rng.choice([256, 256, 255, 0]))}
        form = archive if rng.random() < 0.7 else row
        yield Crafted(f"strides {place}", form(content, storages))
    floats = torch.FloatStorage
    shaped: dict[str, object] = {
        "no storage": _tensor(None, 0, (1,), (1,)),
        "a shape of 10,000 sides": _tensor(
            _Storage(floats, "0", 64), 0, (1,) * 10_000, (1,) * 10_000
        ),
        "a part beyond": _tensor(_Storage(floats, "0", 64, ("1", 60, 64)), 0, (8,), (1,)),
        "a part of text": _tensor(_Storage(floats, "0", 64, "x"), 0, (8,), (1,)),
        "a state dict of numbers": {"hash_layer.weight": 1.0},
        "keys of steering characters": {
            "\x1b]0;x\x07\u202e": _tensor(_Storage(floats, "0", 64), 0, (8,), (1,))
        },
        "a key of 1 MB": {"k" * 2**20: _tensor(_Storage(floats, "0", 64), 0, (8,), (1,))},
        "a key of many dots": {
            "a." * 2**16 + "b": _tensor(_Storage(floats, "0", 64), 0, (8,), (1,))
        },
    }
    for name, held in shaped.items():
        content = _pickled(held if isinstance(held, dict) else {"hash_layer.weight": held})
        yield Crafted(name, archive(content, {"0": bytes(256)}))


# --- archives ---


def _archives(rng: random.Random) -> Iterator[Crafted]:
    sound = saved(sound_state())
    with zipfile.ZipFile(io.BytesIO(sound)) as file:
        members = [(name, file.read(name)) for name in file.namelist()]
    root = members[0][0].partition("/")[0]
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield Crafted(f"packed by {method}", zipped(members, method))
    yield Crafted("bomb of a pickle", archive(bytes(200 * 2**20), method=zipfile.ZIP_DEFLATED))
    pickled = members[0][1]
    bomb = {"0": bytes(200 * 2**20)}
    yield Crafted("bomb of a storage", archive(pickled, bomb, zipfile.ZIP_DEFLATED))
    yield Crafted("a pickle of 17 MB", archive(b"\x80\x02]" + bytes(17 * 2**20)))
    for name in ("../evil", "/etc/evil", "..\\evil", "\x1b[31m", "a" * 60_000, f"{root}/../x"):
        yield Crafted(f"a member {name[:12]!r}", zipped([*members, (name, b"x")]))
    yield Crafted("two of one name", zipped([*members, members[-1]]))
    yield Crafted("two pickles", zipped([*members, ("other/data.pkl", pickled)]))
    yield Crafted("no pickle", zipped(members[1:]))
    yield Crafted("no storages", zipped(members[:1]))
    yield Crafted("storages of wrong sizes", zipped([(n, c[:-1]) for n, c in members]))
    yield Crafted("big-endian", zipped([*members, (f"{root}/byteorder", b"big")]))
    yield Crafted("no members", zipped([]))
    yield Crafted("50,000 members", zipped([(f"{i}", b"") for i in range(50_000)]))
    end = sound.rfind(b"PK\x05\x06")
    first = sound.find(b"PK\x01\x02")
    entry_fields = {"flags": 8, "method": 10, "packed": 20, "size": 24, "name": 28, "place": 42}
    for name, at in entry_fields.items():
        for value in (b"\xff\xff", b"\x01\x00", b"\xff\xff\xff\xff"):
            yield Crafted(f"an entry's {name} {value.hex()}", _patched(sound, first + at, value))
    for at in (8, 10, 12, 16, 20):
        for value in (b"\xff\xff", b"\x00\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f"):
            yield Crafted(f"the end's {at} {value.hex()}", _patched(sound, end + at, value))
    for place in range(4):
        yield Crafted(f"junk in front {place}", rng.randbytes(2**place) + sound)
    yield Crafted("junk behind", sound + bytes(70_000))


def _patched(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


# --- safetensors ---


def _table(table: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _tables(rng: random.Random) -> Iterator[Crafted]:
    def one(**changed: object) -> dict[str, object]:
        return {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16], **changed}

    data = bytes(16)
    key = "hash_layer.weight"
    entry = json.dumps(one()).encode()
    tables: dict[str, bytes] = {
        "length beyond": _table({key: one()}, data, 2**40),
        "length of all ones": b"\xff" * 8 + b"{}",
        "length too short": _table({key: one()}, data, 5),
        "table of 9 MB": _table(b"{" + b" " * (9 * 2**20) + b"}"),
        "table of a list": _table([]),
        "table of a list of 8 MB": _table(b"[" + b"[]," * (2**21) + b"[]]"),
        "no table": _table(b"nul"),
        "deep table": _table(b"[" * 100_000),
        "deep metadata": _table(b'{"__metadata__":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001),
        "long number": _table(b'{"a":' + b"9" * 100_000 + b"}"),
        "no UTF-8": _table(b'{"\xff\xfe":1}'),
        "half a pair": _table(b'{"\\ud800":' + entry + b"}", data),
        "twice": _table(b'{"a":' + entry + b',"a":' + entry + b"}", data),
        "overlap": _table({"a": one(), "b": one()}, data),
        "hole": _table({"a": one(data_offsets=[4, 20])}, bytes(20)),
        "left over": _table({"a": one()}, bytes(99)),
        "steering": _table({"\x1b[31m\u202e": one(dtype="\x1b[31m")}, data),
    }
    values: list[object] = [
        *(None, True, -1, 0, 1.5, "x", "F32", [], {}, [0, 16], [0, 16, 32], [16, 0], [-16, 0]),
        *([0, 2**63], [0.0, 16.0], [2**40, 2**40], [2**62, 4], [1] * 1000, ["2", "2"], [2, -2]),
        *("F8_E8M0", "F4", "C64", "I64", "BOOL", "f32", "\x1b", "X" * 10_000),
    ]
    for field in ("dtype", "shape", "data_offsets"):
        for place, value in enumerate(values):
            tables[f"{field} {place}"] = _table({key: one(**{field: value})}, data)
    for name in ("U16", "F8_E4M3", "F8_E5M2", "C64"):
        tables[f"type {name}"] = _table(
            {
                key: one(
                    dtype=name, shape=[16 // (8 if name == "C64" else 2 if name == "U16" else 1)]
                )
            },
            data,
        )
    names = list(tables)
    rng.shuffle(names)
    for name in names:
        yield Crafted(f"table: {name}", tables[name], ".safetensors")


def _others() -> Iterator[Crafted]:
    for name, content in {
        "nothing": b"",
        "one byte": b"\x80",
        "zeros": bytes(10_000),
        "a page": b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>" * 20,
        "a page with blanks": b"\n\n  <html>\n" + b"x" * 5_000,
        "text": b"404: Not Found\n",
        "text of steering characters": b"\x1b]0;pwned\x07" * 10,
        "JSON": b'{"message": "Not Found"}',
        "git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 46830571\n",
        "gzip": b"\x1f\x8b\x08\x00" + bytes(100),
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "image": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "safetensors": safetensors_bytes(sound_state()),
        "whole model": saved(torch.nn.Sequential(torch.nn.Linear(3, 2))),
        "whole model, legacy": saved(torch.nn.Sequential(torch.nn.Linear(3, 2)), legacy=True),
        "two state dicts": saved({"model": sound_state(), "ema": sound_state()}),
        "optimiser alone": saved({"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}),
    }.items():
        yield Crafted(name, content)
        yield Crafted(f"{name}, called safetensors", content, ".safetensors")


def _damaged(sound: Crafted, rng: random.Random, place: int) -> Crafted:
    content = bytearray(sound.content)
    how = rng.choice(["flips", "flips", "cut", "hole", "swapped", "longer"])
    if how == "flips":  # most of a file are values: the ends hold what describes them
        for _ in range(rng.choice([1, 1, 3, 20])):
            at = rng.choice([rng.randrange(4_000), -1 - rng.randrange(4_000)])
            content[at] ^= 1 << rng.randrange(8)
    elif how == "cut":
        del content[rng.choice([rng.randrange(2_000), rng.randrange(len(content))]) :]
    elif how == "hole":
        at = rng.randrange(len(content))
        del content[at : at + rng.randrange(1, 500)]
    elif how == "swapped":
        at = rng.randrange(len(content) // 2)
        content[at : at + 64], content[-64:] = content[-64:], content[at : at + 64]
    else:
        content += rng.randbytes(rng.randrange(1, 500))
    return Crafted(f"{sound.name}, {how} {place}", bytes(content), sound.suffix)
