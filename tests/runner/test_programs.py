"""Whole networks as models: TorchScript, torch.export and ONNX give what their state dict gives."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench import plugins
from hashbench.errors import FileError, UsageError
from hashbench.hashing.backbone import InputSpec
from hashbench.hashing.model import HashModel
from hashbench.hashing.programs.exported_checks import refuse_code
from hashbench.hashing.programs.file_program import FileProgram
from hashbench.hashing.programs.sorts import ProgramKind, program_kind
from hashbench.plugins import Backbone
from hashbench.results.cell import CLEAN, WORST_CASE
from hashbench.results.flags import Code
from hashbench.results.results import Results
from hashbench.runner.plan import make_plan
from hashbench.runner.run import run
from hashbench.runner.steps import GivenModel
from hashbench.runner.suite import GivenModels, Suite, compose
from hashbench.zoo.importing import import_model
from hashbench.zoo.models import check_model, export_model
from hashbench.zoo.origin import Normalisation, Origin
from support.bomb import Bomb

TINY = Path(__file__).resolve().parents[1] / "plugins" / "tiny_data.py"
SMALL = "small-cnn:width=4,hidden=16"
BITS, SIDE = 8, 8
ORIGIN = Origin("tiny", seed=3)
EXAMPLE = torch.rand(4, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
FREE = ({0: torch.export.Dim("batch")},)
Build = Callable[..., Suite]


class Logits(nn.Module):
    """A hashing model as others hand it on: pixels in, K numbers out."""

    def __init__(self, model: HashModel) -> None:
        super().__init__()
        self.model = model

    @override
    def forward(self, images: Tensor) -> Tensor:
        return self.model.logits(images)


class Plain(nn.Module):
    """The same without the model's own normalisation, whose constants are 0.4 and 0.25."""

    def __init__(self, model: HashModel, ending: Callable[[Tensor], Any] | None = None) -> None:
        super().__init__()
        self.backbone, self.hash_layer, self.ending = model.backbone, model.hash_layer, ending

    @override
    def forward(self, normalised: Tensor) -> Any:
        found: Tensor = self.hash_layer(self.backbone(normalised))
        return found if self.ending is None else self.ending(found)


@pytest.fixture
def model(fresh_registry: object) -> HashModel:  # noqa: ARG001
    """A network with random weights, which tells the bright quadrants well enough apart."""
    plugins.use_file(TINY)
    plugin = plugins.get("backbone", SMALL)
    assert isinstance(plugin, Backbone)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        spec = InputSpec(1, SIDE, SIDE, (0.4,), (0.25,))
        return HashModel(plugin.build(spec), BITS).eval()


def traced(net: nn.Module, path: Path) -> None:
    torch.jit.save(torch.jit.trace(net, EXAMPLE), path)


def exported(net: nn.Module, path: Path) -> None:
    torch.export.save(torch.export.export(net, (EXAMPLE,), dynamic_shapes=FREE), path)


def exported_for_four(net: nn.Module, path: Path) -> None:
    torch.export.save(torch.export.export(net, (EXAMPLE,)), path)


def to_onnx(net: nn.Module, path: Path) -> None:
    torch.onnx.export(net, (EXAMPLE,), path, dynamic_shapes=FREE, verbose=False)


def to_onnx_for_one(net: nn.Module, path: Path) -> None:
    torch.onnx.export(net, (EXAMPLE[:1],), path, verbose=False)


FORMS: dict[str, tuple[Callable[[nn.Module, Path], None], str]] = {
    "torchscript": (traced, "net.pt"),
    "export": (exported, "net.pt2"),
    "export for four images": (exported_for_four, "net.pt2"),
    "onnx": (to_onnx, "net.onnx"),
    "onnx for one image": (to_onnx_for_one, "net.onnx"),
}


def suite_of(tiny_suite: Build, *folders: Path, attack: Any = "noise") -> Suite:
    return replace(tiny_suite(attack=attack), models=GivenModels(folders))


def rows(results: Results) -> dict[str, float]:
    assert not results.failed
    return {result.cell.attack: result.metrics["map"] for result in results.cells}


@pytest.fixture
def as_weights(model: HashModel, tmp_path: Path) -> Path:
    """The folder of the same network, imported by its state dict."""
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    import_model(tmp_path / "weights.pth", tmp_path / "w", replace(ORIGIN, backbone=SMALL), None)
    return tmp_path / "w"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", list(FORMS))
def test_a_program_gives_what_its_state_dict_gives(
    form: str, model: HashModel, as_weights: Path, tmp_path: Path, tiny_suite: Build
) -> None:
    """Attacked with the same draws, as seeds come from data set, seed, attack and query alone."""
    write, name = FORMS[form]
    write(Logits(model), tmp_path / name)
    notes: list[str] = []
    card = import_model(tmp_path / name, tmp_path / "m", ORIGIN, None, told=notes.append)
    assert (card.bits, card.loss, card.named_loss) == (BITS, "unstated", True)
    assert ("it gives no gradient" in " ".join(notes)) == form.startswith("onnx")
    assert card.program["batch"] == {"export for four images": 4, "onnx for one image": 1}.get(
        form, 0
    )
    attack = ["noise", "random-search:queries=20"]
    if not form.startswith("onnx"):
        attack.append("pgd-hamming:steps=3")
    wanted = rows(run(suite_of(tiny_suite, as_weights, attack=attack), out=tmp_path / "a"))
    found = rows(run(suite_of(tiny_suite, tmp_path / "m", attack=attack), out=tmp_path / "b"))
    assert found == pytest.approx(wanted, abs=1e-9)
    assert wanted[CLEAN] > 0.4, "the network says nothing"


@pytest.mark.parametrize("form", ["torchscript", "export", "export for four images"])
def test_gradients_are_those_of_the_network(form: str, model: HashModel, tmp_path: Path) -> None:
    """Float32: the same sums, in another order at most; 4 layers of some 100 products."""
    write, name = FORMS[form]
    write(Logits(model), tmp_path / name)
    import_model(tmp_path / name, tmp_path / "m", ORIGIN, None)
    loaded = program_of(tmp_path / "m").load(device="cpu", threads=1)
    found = []
    for one in (loaded, model):
        point = torch.rand(7, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
        point.requires_grad_()
        outputs = one.outputs(point)
        (gradient,) = torch.autograd.grad((outputs * torch.linspace(-1, 1, BITS)).sum(), point)
        found.append((outputs.detach(), gradient))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def program_of(folder: Path) -> FileProgram:
    plan = make_plan(compose(None, {"model": [str(folder)], "attack": "noise"}))
    [step] = [step for step in plan.steps if isinstance(step, GivenModel)]
    assert isinstance(step.program, FileProgram)
    return step.program


def test_normalisation_tanh_and_grey_are_as_they_are_said(
    model: HashModel, as_weights: Path, tmp_path: Path, tiny_suite: Build
) -> None:
    traced(Plain(model, torch.tanh), tmp_path / "net.pt")
    said = replace(ORIGIN, bounded=True, normalisation=Normalisation((0.4,), (0.25,)))
    import_model(tmp_path / "net.pt", tmp_path / "m", replace(said, backbone="mine v2"), None)
    attack = ["pgd-hamming:steps=3"]
    wanted = run(suite_of(tiny_suite, as_weights, attack=attack), out=tmp_path / "a")
    found = run(suite_of(tiny_suite, tmp_path / "m", attack=attack), out=tmp_path / "b")
    assert rows(found)[CLEAN] == rows(wanted)[CLEAN]
    assert {result.cell.backbone for result in found.cells} == {"mine v2"}

    class Coloured(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, BITS))

        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = self.net(images)
            return found

    net = Coloured().eval()
    torch.jit.save(torch.jit.script(net), tmp_path / "rgb.pt")
    notes: list[str] = []
    import_model(tmp_path / "rgb.pt", tmp_path / "rgb", ORIGIN, None, told=notes.append)
    assert "it takes three channels, so that grey images are repeated" in notes
    loaded = program_of(tmp_path / "rgb").load(device="cpu", threads=1)
    assert torch.allclose(loaded.logits(EXAMPLE), net(EXAMPLE.expand(-1, 3, -1, -1)), atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_codes_alone_are_said_in_the_row_and_the_plan(
    model: HashModel, tmp_path: Path, tiny_suite: Build
) -> None:
    to_onnx(Logits(model), tmp_path / "net.onnx")
    import_model(tmp_path / "net.onnx", tmp_path / "m", ORIGIN, None)
    attack = ["noise", "random-search:queries=20"]
    found = run(suite_of(tiny_suite, tmp_path / "m", attack=attack), out=tmp_path / "out")
    [codes] = [
        [flag.code for flag in flags]
        for cell, flags in found.flags.items()
        if cell.attack == WORST_CASE
    ]
    assert Code.CODES_ALONE in codes
    assert Code.ZERO_GRADIENTS not in codes
    for wrong in (["auto"], ["noise", "pgd-hamming:steps=2"], ["universal"]):
        with pytest.raises(UsageError, match=r"gradients, and .* gives none; .*ranked-search"):
            make_plan(suite_of(tiny_suite, tmp_path / "m", attack=wrong))
    plan = make_plan(compose(None, {"model": [str(tmp_path / "m")]}))
    assert {planned.cell.attack for planned in plan.cells} == {
        *("none", "noise", "random-search", "ranked-search", "transfer", "evade-by-distance")
    }


def test_a_network_whose_gradient_is_zero_has_none(model: HashModel, tmp_path: Path) -> None:
    traced(Plain(model, torch.sign), tmp_path / "net.pt")
    import_model(tmp_path / "net.pt", tmp_path / "m", ORIGIN, None)
    assert not program_of(tmp_path / "m").differentiable


def test_a_program_is_exported_and_checked_as_other_models(
    model: HashModel, tmp_path: Path, tiny_suite: Build
) -> None:
    exported(Logits(model), tmp_path / "net.pt2")
    card = import_model(tmp_path / "net.pt2", tmp_path / "m", ORIGIN, None)
    made = run(suite_of(tiny_suite, tmp_path / "m"), out=tmp_path / "out")
    again = export_model(tmp_path / "out", tmp_path / "again", {"defense": "none"})
    assert (again.program, again.weights) == (card.program, card.weights)
    assert check_model(tmp_path / "again", None).holds
    shutil.rmtree(tmp_path / "m")
    assert rows(run(suite_of(tiny_suite, tmp_path / "again"), out=tmp_path / "b")) == rows(made)


def test_a_file_that_was_changed_is_refused(model: HashModel, tmp_path: Path) -> None:
    traced(Logits(model), tmp_path / "net.pt")
    import_model(tmp_path / "net.pt", tmp_path / "m", ORIGIN, None)
    program = program_of(tmp_path / "m")
    path = tmp_path / "m" / ProgramKind.TORCHSCRIPT.file
    whole = path.read_bytes()
    traced(Plain(model), path)
    with pytest.raises(UsageError, match="is not the file that its card describes"):
        make_plan(compose(None, {"model": [str(tmp_path / "m")]}))
    with pytest.raises(UsageError, match="another file than its card"):
        program.load(device="cpu", threads=1)
    path.write_bytes(whole[:500])
    with pytest.raises(UsageError, match="is not the file that its card describes"):
        make_plan(compose(None, {"model": [str(tmp_path / "m")]}))
    path.unlink()
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        make_plan(compose(None, {"model": [str(tmp_path / "m")]}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "exe"}, "program"),
        ({"kind": "torchscript", "batch": -1}, "batch is -1"),
        ({"kind": "torchscript", "std": [0.0]}, "above 0"),
        ({"kind": "torchscript", "mean": ["a"]}, "mean"),
        ({"kind": "torchscript", "output": "7"}, "no output '7'"),
    ],
)
def test_a_card_that_asks_for_nonsense_is_refused(
    change: dict[str, Any], said: str, model: HashModel, tmp_path: Path
) -> None:
    traced(Logits(model), tmp_path / "net.pt")
    import_model(tmp_path / "net.pt", tmp_path / "m", ORIGIN, None)
    card = tmp_path / "m" / "card.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "program": change}))
    with pytest.raises(UsageError, match=said):
        make_plan(compose(None, {"model": [str(tmp_path / "m")]}))


ENDINGS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "images": (lambda z: z.view(-1, 2, 4), r"it gives \(3, 2, 4\) for 3 images, expected \(3, K\)"),
    "one number": (lambda z: z.sum(), r"it gives \(\) for 3 images"),
    "whole numbers": (lambda z: z.long(), "must give floats .* gave torch.int64"),
    "nan": (lambda z: z / 0 * 0, "not finite"),
    "two things": (lambda z: (z, z[:, :2]), r"several outputs; there are '0' of shape .*--output"),
    "600 bits": (lambda z: z.repeat(1, 75), "600 numbers an image, expected 1 to 512"),
}


@pytest.mark.parametrize("case", list(ENDINGS))
def test_what_is_no_code_is_said(case: str, model: HashModel, tmp_path: Path) -> None:
    ending, said = ENDINGS[case]
    traced(Plain(model, ending), tmp_path / "net.pt")
    with pytest.raises(UsageError, match=said) as refusal:
        import_model(tmp_path / "net.pt", tmp_path / "m", ORIGIN, None)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "m").exists()


def test_one_of_several_outputs_is_named(model: HashModel, tmp_path: Path) -> None:
    traced(Plain(model, lambda z: (z[:, :2], z)), tmp_path / "net.pt")
    card = import_model(tmp_path / "net.pt", tmp_path / "m", replace(ORIGIN, output="1"), None)
    assert card.bits == BITS


def test_images_of_another_size_are_said(tmp_path: Path, model: HashModel) -> None:  # noqa: ARG001
    net = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, BITS))
    torch.jit.save(torch.jit.trace(net, torch.rand(2, 1, 28, 28)), tmp_path / "net.pt")
    with pytest.raises(UsageError, match="cannot be asked for images of 1 x 8 x 8: "):
        import_model(tmp_path / "net.pt", tmp_path / "m", ORIGIN, None)


def _for(count: int, kind: str, net: nn.Module, path: Path, side: int = SIDE) -> None:
    images = torch.rand(count, 1, side, side)
    if kind == "onnx":
        torch.onnx.export(net, (images,), path, verbose=False)
    else:
        torch.export.save(torch.export.export(net, (images,)), path)


@pytest.mark.parametrize(("kind", "count"), [("onnx", 11), ("pt2", 11), ("pt2", 3)])
def test_any_number_of_images_at_once_is_read_off_the_file(
    kind: str, count: int, model: HashModel, tmp_path: Path
) -> None:
    _for(count, kind, Logits(model), tmp_path / f"net.{kind}")
    card = import_model(tmp_path / f"net.{kind}", tmp_path / "m", ORIGIN, None)
    assert card.program["batch"] == count
    assert card.bits == BITS


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_images_of_another_size_are_said_with_the_number_at_once(
    kind: str,
    tmp_path: Path,
    model: HashModel,  # noqa: ARG001
) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, BITS)).eval()
    _for(11, kind, net, tmp_path / f"net.{kind}", side=28)
    with pytest.raises(UsageError, match=r"of 1 x 8 x 8: it takes 11 images at once; ."):
        import_model(tmp_path / f"net.{kind}", tmp_path / "m", ORIGIN, None)


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_too_many_images_at_once_are_refused(
    kind: str,
    tmp_path: Path,
    model: HashModel,  # noqa: ARG001
) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, BITS)).eval()
    _for(1100, kind, net, tmp_path / f"net.{kind}")
    with pytest.raises(UsageError, match="takes 1,100 images at once, expected at most 1,024"):
        import_model(tmp_path / f"net.{kind}", tmp_path / "m", ORIGIN, None)


def test_options_of_state_dicts_are_refused_for_programs(model: HashModel, tmp_path: Path) -> None:
    traced(Logits(model), tmp_path / "net.pt")
    with pytest.raises(UsageError, match="--rename and --activation are for state dicts"):
        import_model(tmp_path / "net.pt", tmp_path / "m", replace(ORIGIN, activation="relu"), None)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    with pytest.raises(UsageError, match="--output is for whole networks"):
        import_model(tmp_path / "w.pth", tmp_path / "m", replace(ORIGIN, output="1"), None)


# --- what would run code ---


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path: Path, content: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, part in content.items():
            archive.writestr(name, part)
    return path.read_bytes()


def _in_graph(content: dict[str, bytes], old: str, new: str) -> dict[str, bytes]:
    graph = next(name for name in content if name.endswith("models/model.json"))
    text = content[graph].decode()
    assert old in text
    return {**content, graph: text.replace(old, new, 1).encode()}


SYMBOL = "Symbol('s"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("torch.ops.aten.relu.default", "torch.os.system", "calls 'torch.os.system', which is no"),
        ("torch.ops.aten.relu.default", "_operator.methodcaller", "_operator.methodcaller"),
        ("torch.ops.aten.relu.default", "torch.ops.aten.from_file.default", "from_file"),
        ("torch.ops.aten.relu.default", "#builtins.eval", "no operator"),
        ("torch.ops.aten.relu.default", "torch.ops.aten.save.default", "no operator"),
        ("torch.ops.aten.relu.default", "torch.ops.aten._print.default", "no operator"),
        ("torch.ops.aten.relu.default", "torch.ops.aten.manual_seed.default", "no operator"),
        ("torch.ops.aten.relu.default", "torch.ops.aten.__getattr__", "no operator"),
        ("torch.ops.aten.relu.default", "torch.ops.aten.relu._op", "no operator"),
        ("torch.ops.aten.relu.default", "torch.ops.image.write_file.default", "no operator"),
        ("torch.ops.aten.relu.default", "torch.ops.higher_order.wrap", "no operator"),
        ("torch.ops.aten.relu.default", "torch.ops.higher_order.print", "no operator"),
        (SYMBOL, "__import__('os').system('", "no size of a tensor"),
        ('"name": "relu"', '"name": "relu);import os"', "no name"),
        ("builtins.tuple", "os.environ", "come in a 'os.environ'"),
    ],
)
def test_calls_beyond_operators_are_refused(
    old: str, new: str, said: str, model: HashModel, tmp_path: Path
) -> None:
    exported(Logits(model), tmp_path / "net.pt2")
    content = members(tmp_path / "net.pt2")
    refuse_code(rewritten(tmp_path / "net.pt2", content))
    rewritten(tmp_path / "net.pt2", _in_graph(content, old, new))
    with pytest.raises(UsageError, match=said):
        import_model(tmp_path / "net.pt2", tmp_path / "m", ORIGIN, None)


def _with_graph(content: dict[str, bytes], change: Callable[[Any], object]) -> dict[str, bytes]:
    place = next(name for name in content if name.endswith("models/model.json"))
    whole = json.loads(content[place])
    change(whole["graph_module"]["graph"])
    return {**content, place: json.dumps(whole).encode()}


@pytest.mark.parametrize("caller", ["wrap", "cond"])
def test_an_operator_that_another_one_calls_is_held_against_the_same_list(
    caller: str, model: HashModel, tmp_path: Path
) -> None:
    """An operator that is handed over as an argument, and which makes a file."""
    exported(Logits(model), tmp_path / "net.pt2")
    mark = tmp_path / "made"

    def insert(graph: Any) -> None:
        values = graph["tensor_values"]
        values["made"] = next(iter(values.values()))
        given: list[dict[str, object]] = [
            {"as_operator": "torch.ops.aten.from_file.default"},
            {"as_string": str(mark)},
            {"as_bool": True},
            {"as_int": 4096},
        ]
        graph["nodes"].insert(
            0,
            {
                "target": f"torch.ops.higher_order.{caller}",
                "inputs": [{"name": "", "arg": one, "kind": 1} for one in given],
                "outputs": [{"as_tensor": {"name": "made"}}],
                "metadata": {},
                "is_hop_single_tensor_return": True,
                "name": "made",
            },
        )

    content = rewritten(tmp_path / "net.pt2", _with_graph(members(tmp_path / "net.pt2"), insert))
    with pytest.raises(UsageError, match="no operator of torch's"):
        import_model(tmp_path / "net.pt2", tmp_path / "m", ORIGIN, None)
    assert not mark.exists()
    if caller == "wrap":
        with suppress(Exception):
            torch.export.load(io.BytesIO(content)).module()(EXAMPLE)
        assert mark.stat().st_size == 4096 * 4, "the file works where torch reads it"


def test_no_name_of_a_tensor_hides_an_expression(model: HashModel, tmp_path: Path) -> None:
    """A tensor may be called as the fields are whose texts are free."""
    exported(Logits(model), tmp_path / "net.pt2")
    content, mark = members(tmp_path / "net.pt2"), tmp_path / "made"
    place = next(one for one in content if one.endswith("models/model.json"))
    first = json.loads(content[place])["graph_module"]["graph"]["nodes"][0]
    quoted = json.dumps(first["outputs"][0]["as_tensor"]["name"]).encode()
    for name in ("metadata", "as_string"):

        def insert(graph: Any, name: str = name) -> None:
            graph["tensor_values"][name]["sizes"] = [
                {"as_expr": {"expr_str": f"__import__('os').mkdir('{mark}')", "hint": None}}
            ]

        renamed = {**content, place: content[place].replace(quoted, json.dumps(name).encode())}
        crafted = rewritten(tmp_path / "net.pt2", _with_graph(renamed, insert))
        with pytest.raises(UsageError, match="no size of a tensor"):
            import_model(tmp_path / "net.pt2", tmp_path / "m", ORIGIN, None)
        assert not mark.exists()
        with suppress(Exception):
            torch.export.load(io.BytesIO(crafted))
        assert mark.exists(), "the expression is evaluated where torch reads it"
        mark.rmdir()


def test_a_second_folder_in_a_program_is_refused(model: HashModel, tmp_path: Path) -> None:
    exported(Logits(model), tmp_path / "net.pt2")
    content = members(tmp_path / "net.pt2")
    doubled = {**content, **{f"x{name}": part for name, part in content.items()}}
    with pytest.raises(FileError, match="several folders"):
        refuse_code(rewritten(tmp_path / "net.pt2", doubled))


class Parts(nn.Module):
    """What torch.export writes as more than operators: gradients off, control flow, sizes."""

    @override
    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            scale = images.mean()
        found = torch.cond(
            scale > 0.5, lambda one: one * 2, lambda one: one + 1, (images.flatten(1),)
        )
        shape = images.shape[0] * images.shape[1]
        found = torch.nn.functional.gelu(found, approximate="tanh").reshape(shape, -1)
        return (
            torch.div(found, 3, rounding_mode="floor")
            + torch.einsum("bi,bi->b", found, found)[:, None]
        )


def test_graphs_within_graphs_are_no_code(tmp_path: Path) -> None:
    net = Parts().eval()
    exported(net, tmp_path / "net.pt2")
    content = (tmp_path / "net.pt2").read_bytes()
    refuse_code(content)
    text = next(one for name, one in members(tmp_path / "net.pt2").items() if "model.json" in name)
    assert b"higher_order.cond" in text
    found = torch.export.load(io.BytesIO(content)).module()(EXAMPLE)
    torch.testing.assert_close(found, net(EXAMPLE))


def test_pickles_in_a_program_are_refused_and_never_run(model: HashModel, tmp_path: Path) -> None:
    exported(Logits(model), tmp_path / "net.pt2")
    content, mark = members(tmp_path / "net.pt2"), tmp_path / "the bomb went off"
    torch.save(Bomb(mark), tmp_path / "bomb.pt")
    bomb = (tmp_path / "bomb.pt").read_bytes()
    root = next(iter(content)).partition("/")[0]
    samples = {**content, f"{root}/data/sample_inputs/model.pt": bomb}
    config = f"{root}/data/weights/model_weights_config.json"
    pickled = {
        **content,
        config: content[config].replace(b'"use_pickle": false', b'"use_pickle": true', 1),
        f"{root}/data/weights/weight_0": bomb,
    }
    constants = {**content, f"{root}/data/constants/custom_obj_0": bomb}
    legacy = {**content, f"{root}/data/weights/model.pt": bomb}
    library = {**content, f"{root}/data/aotinductor/model/x.so": b"\x7fELF"}
    for one in (samples, pickled, constants, legacy, library):
        rewritten(tmp_path / "net.pt2", one)
        with pytest.raises(UsageError, match=r"could run any code|is none that torch"):
            import_model(tmp_path / "net.pt2", tmp_path / "m", ORIGIN, None)
        assert not mark.exists()
    for one in (samples, pickled):
        rewritten(tmp_path / "net.pt2", one)
        with suppress(Exception):  # what torch makes of the folder that it gets
            torch.export.load(tmp_path / "net.pt2")
        assert mark.exists(), "the bomb works where torch reads it"
        mark.rmdir()


# --- ONNX ---


@pytest.mark.filterwarnings("ignore")
def test_weights_beside_an_onnx_file_are_taken_in(model: HashModel, tmp_path: Path) -> None:
    to_onnx(Logits(model), tmp_path / "net.onnx")
    beside = tmp_path / "net.onnx.data"
    if not beside.exists():  # torch writes small networks into one file, in some versions
        content = onnx.load(tmp_path / "net.onnx")
        onnx.save(
            content,
            tmp_path / "net.onnx",
            save_as_external_data=True,
            size_threshold=0,
            location=beside.name,
        )
    card = import_model(tmp_path / "net.onnx", tmp_path / "m", ORIGIN, None)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["card.json", "program.onnx"]
    assert card.bits == BITS
    kept = beside.read_bytes()
    (tmp_path / "elsewhere").write_bytes(kept)
    beside.unlink()
    with pytest.raises(UsageError, match=r"file net\.onnx\.data, which is not beside it"):
        import_model(tmp_path / "net.onnx", tmp_path / "n", ORIGIN, None)
    beside.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"net\.onnx\.data: it is a link"):
        import_model(tmp_path / "net.onnx", tmp_path / "n", ORIGIN, None)
    for place in ("../elsewhere", str(tmp_path / "elsewhere")):
        content = onnx.load(tmp_path / "net.onnx", load_external_data=False)
        for tensor in content.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = place
        (tmp_path / "other.onnx").write_bytes(content.SerializeToString())
        with pytest.raises(UsageError, match="not in its own folder"):
            import_model(tmp_path / "other.onnx", tmp_path / "n", ORIGIN, None)


@pytest.mark.parametrize("content", [b"", b"a page of text", b"\x08\x07", b"\xff" * 100])
def test_what_is_no_onnx_is_said(content: bytes, model: HashModel, tmp_path: Path) -> None:  # noqa: ARG001
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(UsageError, match="it is no ONNX, or damaged"):
        import_model(tmp_path / "net.onnx", tmp_path / "m", ORIGIN, None)


def test_a_missing_package_is_named(
    model: HashModel,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    (tmp_path / "net.onnx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"pip install 'hashbench\[onnx\]'"):
        import_model(tmp_path / "net.onnx", tmp_path / "m", ORIGIN, None)


@pytest.mark.parametrize("name", ["net.pt", "net.pt2"])
def test_a_damaged_archive_is_said(name: str, model: HashModel, tmp_path: Path) -> None:
    (traced if name == "net.pt" else exported)(Logits(model), tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for keep in (0, 10, len(whole) // 2, len(whole) - 30):
        (tmp_path / name).write_bytes(whole[:keep])
        with pytest.raises(UsageError, match=str(tmp_path / name)):
            import_model(tmp_path / name, tmp_path / "m", replace(ORIGIN, backbone=SMALL), None)


def test_a_state_dict_is_no_program(model: HashModel, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "w.pt")
    torch.save(model, tmp_path / "whole.pt")
    assert program_kind(tmp_path / "w.pt") is None
    assert program_kind(tmp_path / "whole.pt") is None
