"""Suite files that were made to break `hashbench run`: crafted ones, and seeded mutations."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

GOOD = b"""\
name = "mine"
dataset = "fashion"
loss = "csq"
backbone = "small-cnn"
bits = [16, 32]
defense = ["none", "jpeg"]
attack = ["noise", {name = "hag", steps = 3}, "pgd-hamming:steps=3"]
eps = ["8/255", 0.1]
seed = [0, 1]

[training]
epochs = 1
batch = 64
learning_rate = 0.01
milestones = [0.5, 0.75]

[budget]
epochs = 1
inner_steps = 1

[compute]
threads = 1
attack_batch = 500
"""

DEEP = b"[" * 3_000 + b"]" * 3_000
LONG = b"9" * 5_000

NASTY = (
    b"nan",
    b"inf",
    b"-inf",
    b"-1",
    b"0",
    b"1e308",
    b"1e-320",
    b"0x" + b"f" * 4_000,
    LONG,
    DEEP,
    b"true",
    b"1979-05-27T07:32:00Z",
    b"07:32:00",
    b'""',
    b"[]",
    b"{}",
    b"[[]]",
    b'["none", "none"]',
    b"{name = 5}",
    b'{name = "hag", name2 = [1]}',
    b'"~nosuchuser/x"',
    b'"a\\u0000b"',
    b'"1e999999999"',
    b'"\\u001b]0;x\\u0007"',
    b'"\\u202e"',
    b'"' + b"x" * 20_000 + b'"',
    b'"hag:' + b"a=1," * 20_000 + b'b=2"',
    b"[" + b"1," * 100_000 + b"]",
    b"[" + b",".join(b"%d" % number for number in range(100_000)) + b"]",
)
"""Values that stand in the place of a good one."""


@dataclass(frozen=True)
class Case:
    """A suite file.

    Attributes:
        name: of the file.
        content: its bytes.
        good: whether it must be taken; `None` where either is right.
    """

    name: str
    content: bytes
    good: bool | None


def crafted() -> Iterator[Case]:
    """Each made for one weakness that a reader of suites may have."""
    good = (
        GOOD,
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"[training]\nepochs = 1", b"[training]\nepochs = 0"),
        GOOD.replace(b"seed = [0, 1]", b"seed = [0, 0, 0]"),
        GOOD.replace(b"seed = [0, 1]", b"seed = 100000000000000000000"),
        b'attack = []\ndefense = "none"',
        b'attack = "none"\ndefense = "none"\ntraining.epochs = 1',
        b'"defense" = "none"\n\'attack\' = "noise"',
        b'defense = "none"\nattack = "noise"\neps = "1e-300"',
        b'defense = "resize-pad:draws=1000000000"\nattack = "noise"',
    )
    for number, content in enumerate(good):
        yield Case(f"good{number}", content, good=True)
    bad = (
        b"",
        b"\0",
        b"\xff\xfe" + "attack = 1".encode("utf-16-le"),
        b'attack = "\xff"',
        b"attack = ",
        b"attack = " + DEEP,
        b"attack = " + b"[" * 100_000,
        b"x = " + b"{a=" * 3_000 + b"1" + b"}" * 3_000,
        b"seed = " + LONG,
        b"seed = 0b" + b"1" * 100_000,
        b"a." * 50_000 + b"a = 1",
        b"[" + b"a." * 50_000 + b"a]",
        b'"a".' * 30_000 + b"a = 1",
        b"x = {" + b"a . " * 40_000 + b"a = 1}",
        b"#" * 1_000_001,
        b"\n".join(b"k%d = 1" % number for number in range(50_000)),
        b"\n".join(b"[t%d]" % number for number in range(50_000)),
        b"k" * 100_000 + b" = 1",
        b"[training]\nepochs = 1\n[training]\nbatch = 2",
        b"training = 1\ntraining.epochs = 2",
        b"seed = 0\nseed.x = 1",
        b"[[training]]\nepochs = 1",
        b"[seed]\nx = 1",
        b'root = "~nosuchuser/x"\ndataset = "lists"',
        b'root = "a\\u0000b"\ndataset = "lists"',
        b'plugin = "a\\u0000b.py"',
        b'plugin = "/dev/zero"',
        b'model = "a\\u0000b"',
        b'model = "' + b"x" * 10_000 + b'"',
        b'checkpoint = "/proc/self/mem"',
        b'backbone = "resnet18:weights=/dev/zero"',
        b'backbone = "resnet18:weights=~nosuchuser/w.pth"',
        b'backbone = {name = "resnet18", weights = "no, such.pth"}',
        b'backbone = {name = "resnet18", weights = "a\\u0000b"}',
        b"bits = 513",
        b"bits = 1000000000000",
        b'backbone = "small-cnn:width=1000000000"',
        b'backbone = "small-cnn:hidden=10000000"',
        b'backbone = "small-cnn:width=5000,hidden=5000"',
        b"threads = 1",
        b"[compute]\nthreads = 1000000000",
        b"[training]\nlearning_rate = nan",
        b"[training]\nlearning_rate = inf",
        b"[training]\nepochs = 99999999999999999999",
        b"[training]\nmilestones = [nan]",
        b"[budget]\neps = 2",
        b"[limits]\npasses = 1",
        b"eps = 1e400",
        b'eps = "1e999999999"',
        b'eps = "' + b"9" * 100_000 + b'"',
        b"seed = [" + b",".join(b"%d" % number for number in range(100_000)) + b"]",
        b"seed = [" + b",".join(b"%d" % number for number in range(10_000)) + b"]\n"
        b"bits = [" + b",".join(b"%d" % number for number in range(1, 513)) + b"]",
        b"attack = [" + b",".join(b'"hag:steps=%d"' % number for number in range(70_000)) + b"]",
        b'attack = "' + b"x" * 500_000 + b'"',
        b'attack = "hag:' + b",".join(b"k%d=1" % number for number in range(60_000)) + b'"',
        b'defense = ["none", 5]',
        b"defense = 1979-05-27",
        b"defense = [[[[]]]]",
        b"[defense]\nname.name = 1",
        b'attack = "hag:steps=0x10000"',
        b'attack = "hag:steps=1e300"',
    )
    for number, content in enumerate(bad):
        yield Case(f"bad{number}", content, good=False)


def mutated(count: int, seed: int) -> Iterator[Case]:
    """A good suite with one to three things changed at random: bytes, lines, values."""
    draw = random.Random(seed)
    for number in range(count):
        content = GOOD
        for _ in range(draw.randint(1, 3)):
            content = _changed(content, draw)
        yield Case(f"mutant{number}", content, good=None)


def _changed(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    line = draw.randrange(len(lines))
    place = draw.randrange(len(content))
    match draw.randrange(6):
        case 0:
            return content[:place]
        case 1:
            return content[:place] + bytes([draw.randrange(256)]) + content[place + 1 :]
        case 2:
            lines.insert(draw.randrange(len(lines)), lines[line])
        case 3:
            del lines[line]
        case _:
            lines[line] = re.sub(rb"=.*", lambda _: b"= " + draw.choice(NASTY), lines[line])
    return b"\n".join(lines)
