"""Attacked images as files: what is written is what was scored, and what rounding leaves of it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hashbench.cli.screen import say_folded
from hashbench.console import TextConsole
from hashbench.data.images import RetrievalData
from hashbench.hashing.encode import encode
from hashbench.plugins import Dataset, get, use_file
from hashbench.plugins.registered import Registry
from hashbench.results.cell import CLEAN, CellResult
from hashbench.results.load import load_results
from hashbench.results.pictures import png
from hashbench.results.store import Store
from hashbench.runner.evaluation_steps import AdversarialCodes, Scores
from hashbench.runner.loading import load_model, read_npz
from hashbench.runner.plan import make_plan
from hashbench.runner.suite import load
from hashbench.zoo.attacked_images import in_whole_pixels
from hashbench.zoo.image_files import folder_of
from support.trials import IMPORTED, Trial, Trials

HERE = Path(__file__).resolve().parent
SUITE = """
name = "tiny"
plugin = ["tiny_data.py"]
dataset = "tiny"
backbone = "small-cnn:width=4,hidden=16"
bits = 8
eps = ["24/255", "1/510", "17/510"]
defense = ["none", "bit-depth"]
attack = ["noise", "pgd-hamming:steps=4", "dhta:steps=3"]
training = { epochs = 2, batch = 8 }
budget = { epochs = 1, inner_steps = 1 }
"""
CELLS = 18
QUERIES, BITS = 8, 8


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials((*IMPORTED, "hashbench.zoo.image_files", "hashbench.runner.step_kinds")) as process:
        yield process


@pytest.fixture(scope="module")
def made(trials: Trials, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite, its results, and everything exported from them."""
    folder = tmp_path_factory.mktemp("export")
    plugin = HERE.parent / "plugins" / "tiny_data.py"
    shutil.copy(plugin, folder)
    (folder / "suite.toml").write_text(SUITE)
    ran = trials.run("run", "suite.toml", "--out", "r", cwd=folder)
    assert ran.code == 0, ran.err
    said = export(trials, folder, "images")
    assert said.code == 0, said.err
    (folder / "said.txt").write_text(said.out)
    return folder


def export(trials: Trials, folder: Path, to: str, *more: str) -> Trial:
    command = ("export-images", "r", "--to", to, "--plugin", "tiny_data.py", *more)
    return trials.run(*command, cwd=folder)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        return np.asarray(picture)[None]


def attacked(folder: Path) -> list[CellResult]:
    return [one for one in load_results(folder / "r").cells if one.cell.attack != CLEAN]


@pytest.fixture
def steps(made: Path, fresh_registry: Registry) -> dict[tuple[str, str, str], AdversarialCodes]:  # noqa: ARG001
    use_file(made / "tiny_data.py")
    plan = make_plan(load(made / "suite.toml"))
    return {
        (one.cell.defense, one.cell.attack, one.cell.eps): one.scores.adversarial
        for one in plan.cells
        if isinstance(one.scores, Scores) and one.scores.adversarial is not None
    }


def test_every_file_holds_what_its_name_says(
    made: Path, steps: dict[tuple[str, str, str], AdversarialCodes]
) -> None:
    store = Store(made / "r")
    dataset = get("dataset", "tiny")
    assert isinstance(dataset, Dataset)
    data: RetrievalData = dataset.load(None)
    queries = data.query.images[:]
    results = attacked(made)
    assert len(results) == CELLS
    for result in results:
        cell = result.cell
        folder = made / "images" / folder_of(cell)
        step = steps[cell.defense, cell.attack, cell.eps]
        codes = read_npz(store, step, "codes.npz")
        clean = read_npz(store, step.codes, "codes.npz")
        exact = np.load(folder / "exact.npy", allow_pickle=False)
        assert (exact.dtype, exact.shape) == (np.float32, queries.shape)
        model = load_model(step.codes.model, store)
        # All queries were kept: one block, as it was scored.
        assert np.array_equal(encode(model, exact).codes, codes["codes"])
        rows = table(folder / "images.csv")
        assert [int(row["query"]) for row in rows] == list(range(QUERIES))
        rounded = np.stack([pixels(folder / row["file"]) for row in rows])
        assert np.array_equal(rounded, np.rint(exact.astype(np.float64) * 255).astype(np.uint8))
        for row, query in zip(rows, queries, strict=True):
            assert np.array_equal(pixels(folder / "clean" / row["file"]), query)
        after = encode(model, rounded).codes
        expected: dict[str, Any] = {
            "bits_changed": (codes["codes"] != clean["query"]).sum(axis=1),
            "bits_changed_rounded": (after != clean["query"]).sum(axis=1),
            "bits_changed_by_rounding": (after != codes["codes"]).sum(axis=1),
            "linf": codes["linf"],
            "ap_float": result.per_query,
        }
        for name, values in expected.items():
            assert [float(row[name]) for row in rows] == values.tolist(), name
        steps_moved = np.abs(rounded.astype(int) - queries).reshape(QUERIES, -1).max(axis=1)
        inside = [Fraction(int(moved), 255) <= Fraction(cell.eps) for moved in steps_moved]
        assert [row["rounded_in_ball"] == "yes" for row in rows] == inside
        assert all(inside) or 255 % Fraction(cell.eps).denominator
        assert [float(row["linf_rounded"]) for row in rows] == (steps_moved / 255).tolist()
        change = ((rounded.astype(float) - queries) / 255).reshape(QUERIES, -1)
        lengths = [float(row["l2_rounded"]) for row in rows]
        assert lengths == pytest.approx(np.sqrt((change**2).sum(axis=1)), abs=1e-12)
        assert [row["labels"] for row in rows] == [
            "abcd"[int(label.argmax())] for label in data.query.labels
        ]
        targeted = cell.attack.startswith("dhta")
        assert all((row["target_labels"] != "") == targeted for row in rows)
        if targeted:
            reached = np.mean([float(row["t_ap_float"]) for row in rows])
            assert reached == pytest.approx(result.metrics["t-map"], abs=1e-12)


def test_the_table_of_cells_sums_up_those_of_images(made: Path) -> None:
    cells = table(made / "images" / "cells.csv")
    assert {row["folder"] for row in cells} | {"cells.csv"} == {
        path.name for path in (made / "images").iterdir()
    }
    said = (made / "said.txt").read_text()
    assert said.count("8 images, rounding changes ") == CELLS
    for row in cells:
        images = table(made / "images" / row["folder"] / "images.csv")
        changed = [int(one["bits_changed_by_rounding"]) for one in images]
        assert int(row["bits_changed_by_rounding"]) == sum(changed)
        assert int(row["images_changed_by_rounding"]) == sum(map(bool, changed))
        for kind in ("clean", "float", "rounded"):
            mean = np.mean([float(one[f"ap_{kind}"]) for one in images])
            assert float(row[f"map_{kind}"]) == pytest.approx(mean, abs=1e-12)
        assert int(row["rounded_outside_ball"]) == sum(
            one["rounded_in_ball"] == "no" for one in images
        )
        assert row["codes_differ_here"] == "0"
        assert (
            f"{row['defense']} / {row['attack']} (eps {row['eps']}, tiny, 8 bits, seed 0): 8 "
            f"images, rounding changes {sum(changed)} of 64 bits, {sum(map(bool, changed))} of 8 "
            "codes; mAP clean "
        ) in said
    assert any(int(row["rounded_outside_ball"]) for row in cells if row["eps"] == "17/510")


def test_a_part_and_the_first_ones(trials: Trials, made: Path) -> None:
    said = export(
        trials, made, "part", "--attack", "noise", "--eps", "48/510", "--defense", "none",
        "--first", "3",
    )  # fmt: skip
    assert said.code == 0
    assert said.out.count("\n") == 1
    assert "3 images of 1 cell in part." in said.err
    (row,) = table(made / "part" / "cells.csv")
    assert len(table(made / "part" / row["folder"] / "images.csv")) == 3
    whole = made / "images" / row["folder"]
    for name in ("0000.png", "0002.png", "clean/0001.png"):
        assert (made / "part" / row["folder"] / name).read_bytes() == (whole / name).read_bytes()
    exact = np.load(made / "part" / row["folder"] / "exact.npy")
    assert np.array_equal(exact, np.load(whole / "exact.npy")[:3])
    assert not list(made.glob(".part*"))


def test_more_than_were_kept(trials: Trials, made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    for name in ("suite.toml", "tiny_data.py"):
        shutil.copy(made / name, folder)
    run = ("run", "suite.toml", "--out", "r", "--attack", "noise", "--defense", "none")
    assert trials.run(*run, "--keep-images", "0", cwd=folder).code == 0
    none = export(trials, folder, "images")
    assert none.code == 2
    assert "there is no image to write (no images are kept of it)" in none.err
    assert "--keep-images N attacks finished cells once more" in none.err
    assert not (folder / "images").exists()
    again = trials.run(*run, "--keep-images", "2", "--dry-run", cwd=folder)
    assert "3 finished cells keep fewer images than are asked for" in " ".join(again.out.split())
    ran = trials.run(*run, "--keep-images", "2", cwd=folder)
    assert ran.code == 0
    assert ran.err.count("] images of noise") == 3
    said = export(trials, folder, "images", "--first", "5")
    assert said.code == 0
    assert "3 cells keep fewer than 5 images" in said.err
    assert "6 images of 3 cells in images." in said.err
    # What was made later is what is kept at once: the same as in the other folder.
    for row in table(folder / "images" / "cells.csv"):
        both = (one / "images" / row["folder"] / "0001.png" for one in (folder, made))
        assert len({path.read_bytes() for path in both}) == 1


@pytest.mark.parametrize("kind", ["images", "adversarial", "codes", "scores", "model"])
def test_of_damaged_results_the_rest_is_written(
    trials: Trials, made: Path, tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(made, folder)
    path = next((folder / "r" / "artifacts" / kind).glob("*noise*/*.npz"), None)
    if path is None:
        path = next((folder / "r" / "artifacts" / kind).glob("*bit-depth*/*"))
    path.write_bytes(path.read_bytes()[:-9] + bytes(9))
    said = export(trials, folder, "rest")
    assert not said.crashed
    if kind == "model":  # a wrapper's folder holds nothing that is needed
        assert said.code in (0, 1)
    else:
        assert said.code == 1
        assert "Not written: " in said.err
        assert 0 < said.out.count("rounding changes") < CELLS
        assert len(table(folder / "rest" / "cells.csv")) < CELLS


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda to: to.write_text("mine"), "Error: --to taken: it is there already; name a new"),
        (lambda to: (to.mkdir(), (to / "mine").write_text("mine")), "it is there already"),
        (lambda to: to.symlink_to("r"), "it is a link"),
        (lambda to: to.symlink_to("nowhere"), "it is a link"),
    ],
)
def test_nothing_is_written_over(trials: Trials, made: Path, make: Any, words: str) -> None:
    to = made / "taken"
    make(to)
    try:
        before = sorted(path.name for path in made.iterdir())
        said = export(trials, made, "taken")
        assert said.code == 2
        assert words in said.err
        assert sorted(path.name for path in made.iterdir()) == before
    finally:
        if to.is_symlink() or to.is_file():
            to.unlink()
        else:
            shutil.rmtree(to)


def test_an_empty_folder_and_one_below_others_are_filled(trials: Trials, made: Path) -> None:
    (made / "empty").mkdir()
    for to in ("empty", "a/b/c"):
        part = ("--attack", "noise", "--eps", "24/255", "--defense", "none")
        assert export(trials, made, to, *part).code == 0
        assert len(table(made / to / "cells.csv")) == 1


def test_a_cell_whose_plugin_is_not_there_leaves_the_others(
    trials: Trials, made: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "unknown"
    shutil.copytree(made / "r", folder / "r")
    (folder / "tiny_data.py").write_text((made / "tiny_data.py").read_text())
    other = (made / "tiny_data.py").read_text().replace('"tiny"', '"other"')
    (folder / "other_data.py").write_text(other)
    ran = trials.run(
        "run", "--plugin", "other_data.py", "--dataset", "other", "--backbone",
        "small-cnn:width=4,hidden=16", "--bits", "8", "--defense", "none", "--attack", "noise",
        "--eps", "24/255", "--out", "r", cwd=folder,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    said = export(trials, folder, "images")
    assert said.code == 1
    assert said.err.count("Not written: ") == 1
    assert "Not written: none / noise (eps 24/255, other, 8 bits, seed 0): " in said.err
    assert "'other'" in said.err
    assert "--keep-images" not in said.err
    assert len(table(folder / "images" / "cells.csv")) == CELLS
    # Where nothing can be written the command is refused, with the reason.
    said = export(trials, folder, "none", "--dataset", "other")
    assert said.code == 2
    assert "there is no image to write (" in said.err
    assert "--keep-images" not in said.err
    assert not (folder / "none").exists()


def test_damaged_images_are_not_called_unkept(trials: Trials, made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(made, folder)
    for path in (folder / "r" / "artifacts" / "images").glob("*/*.npz"):
        path.write_bytes(path.read_bytes()[:-9] + bytes(9))
    said = export(trials, folder, "rest")
    assert said.code == 2
    assert "there is no image to write (" in said.err
    assert "--keep-images" not in said.err


def test_a_wrong_device_is_named_as_it_was_typed_before_anything_is_read(
    trials: Trials, tmp_path: Path
) -> None:
    (tmp_path / "net.pth").write_bytes(b"")
    for command in (
        ("export-images", "r", "--to", "images"),
        ("model", "check", "m"),
        ("model", "import", "net.pth", "--dataset", "no", "--backbone", "no", "--to", "m"),
    ):
        said = trials.run(*command, "--device", "gpu", cwd=tmp_path)
        assert said.code == 2
        assert said.err == "Error: --device is 'gpu', expected cpu or cuda\n"


def test_no_model_is_written_through_a_link(trials: Trials, made: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    to = str(tmp_path / "link")
    said = trials.run("model", "export", "r", "--defense", "none", "--to", to, cwd=made)
    assert said.code == 2
    assert said.err == f"Error: --to {to}: it is a link; name a new folder\n"


def test_lines_are_folded_between_words_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    words = [f"word{at}," for at in range(40)]
    for terminal in (True, False):
        screen = TextConsole(file=StringIO(), width=80, color=terminal)
        say_folded(screen, " ".join(words))
        assert isinstance(screen.file, StringIO)
        lines = screen.file.getvalue().splitlines()
        assert " ".join(lines).split() == words
        assert max(map(len, lines)) <= 80 or not terminal
        assert len(lines) == 1 or terminal


def test_rounding_is_to_the_nearest_level_and_the_even_one_of_two() -> None:
    levels = np.arange(256)
    halves = ((levels[:-1] + 0.5) / 255).astype(np.float32)
    exact = (levels / 255).astype(np.float32)
    assert np.array_equal(in_whole_pixels(exact), levels)
    for value, level in zip(halves, in_whole_pixels(halves).tolist(), strict=True):
        near = range(max(0, level - 2), min(256, level + 3))
        away = {one: abs(255 * Fraction(float(value)) - one) for one in near}
        nearest = [one for one in near if away[one] == min(away.values())]
        assert level in nearest
        assert len(nearest) == 1 or level % 2 == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_is_the_pixels_again(tmp_path: Path, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(png(image))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == ("L" if channels == 1 else "RGB")
        again = np.asarray(picture).reshape(5, 7, channels).transpose(2, 0, 1)
    assert np.array_equal(again, image)
