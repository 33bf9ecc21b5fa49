"""Runs of matches: closed forms end to end, the same bytes however it is run, wrong usage."""

from __future__ import annotations

import csv
import io
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashbench import plugins
from hashbench.matching.contract import Hasher
from hashbench.matching.picture_set import PictureSet
from hashbench.matching.reading import read_pictures
from hashbench.matching.sizes import Size
from hashbench.results.matches.load import load_matches
from hashbench.results.matches.results import MatchResult, MatchResults, Threat

PLUGIN = Path(__file__).resolve().parents[1] / "plugins" / "block_hash.py"
SIZE = "32x32"
GRID = (
    *("--attack", "evade", "--attack", "collide", "--attack", "evade-by-distance"),
    *("--eps", "4/255", "--eps", "10/255", "--eps", "least", "--smooth", "0.1", "--draws", "500"),
)

Run = Callable[..., subprocess.CompletedProcess[str]]


def command(*words: object) -> list[str]:
    return [sys.executable, "-P", "-m", "hashbench", *map(str, words)]


def run(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    found = subprocess.run(
        command(*words), capture_output=True, text=True, check=False, timeout=300
    )
    assert found.returncode == code, found.stderr
    assert "Traceback" not in found.stderr
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of 48 x 40 whose blocks lie near the middle, one of them in a sub-folder."""
    home = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    for number in range(8):
        means = rng.integers(-14, 15, (4, 4, 3)) + 127
        picture = means.repeat(12, axis=0).repeat(10, axis=1) + rng.integers(-25, 26, (48, 40, 3))
        path = home / ("sub" if number == 7 else ".") / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture.astype(np.uint8)).save(path)
    return home


def match(folder: Path, out: Path, *more: object, code: int = 0, **options: object) -> None:
    words = [
        part
        for name, value in {"hash": "blocks", "size": SIZE, "workers": 1, **options}.items()
        for part in (f"--{name}", value)
    ]
    run("match", "--plugin", PLUGIN, "--images", folder, "--out", out, *words, *more, code=code)


def result_of(results: MatchResults, **wanted: object) -> MatchResult:
    (found,) = (
        one
        for one in results.cells
        if all(
            getattr(one, name, getattr(one.cell, name, None)) == value
            for name, value in wanted.items()
        )
    )
    return found


def pictures_of(folder: Path) -> PictureSet:
    return read_pictures(folder, Size.of(SIZE))


@pytest.fixture(scope="module")
def done(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of evade and collide at two radii and of the least one, and of a smoothed hash."""
    out = tmp_path_factory.mktemp("done") / "out"
    match(folder, out, *GRID, *("--export-images", out.parent / "files"))
    return out


def blocks() -> Hasher:
    plugins.use_file(PLUGIN)
    found = plugins.get("hasher", "blocks")
    assert isinstance(found, Hasher)
    return found


def closed_form(folder: Path, turned: int) -> list[Fraction]:
    """The least radius in 64ths of a step at which so many blocks of each picture can turn."""
    proof = blocks().proof(32, 32)
    assert proof is not None
    found = []
    for picture in pictures_of(folder).pictures:
        low, high = 0, 64 * 255
        while high - low > 1:
            middle = (low + high) // 2
            box = picture.box(Fraction(middle, 64 * 255))
            low, high = (
                (low, middle)
                if proof.most_turned(picture.saved, *box) >= turned
                else (middle, high)
            )
        found.append(Fraction(high, 64 * 255))
    return found


def test_least_radii_are_those_of_the_closed_form(folder: Path, done: Path) -> None:
    results = load_matches(done)
    assert not results.failed
    assert not results.violations
    assert not results.troubles
    exact = np.array([float(one) for one in closed_form(folder, 4)])
    proven = result_of(results, threat=Threat.PROOF).per_picture["eps"]
    attacked = result_of(results, attack="evade", eps="least").per_picture["eps"]
    step = 1 / 255
    assert (proven < exact).all()
    assert (exact - proven <= step / 64 + 1e-12).all()
    assert (attacked >= exact - step / 64).all()
    # An attack that follows the sign of a block's gradient turns it at once: what is left is the
    # sixteenth that the search tells radii in.
    assert (attacked - exact <= step / 8).all()


def test_evasion_counts_the_pictures_beyond_their_least_radius(folder: Path, done: Path) -> None:
    results = load_matches(done)
    exact = closed_form(folder, 4)
    for eps in ("4/255", "10/255"):
        found = result_of(results, attack="evade", eps=eps)
        share = sum(one <= Fraction(eps) for one in exact) / len(exact)
        assert found.metrics["evasion"] == share
        assert found.per_picture["won"].sum() == share * len(exact)


def test_no_picture_is_certified_beyond_the_closed_form(folder: Path, done: Path) -> None:
    """A smoothed bit turns where the plane of its block lies: a match ends with the fourth one."""
    smoothed = result_of(load_matches(done), threat=Threat.SMOOTHED)
    assert smoothed.cell.attack == "smoothing:sigma=0.1,draws=500"
    side = 32 // 4
    certified = smoothed.per_picture["radius"]
    for row, picture in enumerate(pictures_of(folder).pictures):
        green = picture.image()[1].astype(np.float64).reshape(4, side, 4, side)
        margins = np.abs(green.mean(axis=(1, 3)) - 0.5).ravel() * side
        # Rounding and the cut at black and white move a noisy block by less than a step.
        assert certified[row] <= np.sort(margins)[smoothed.threshold] + side / 255
    assert certified.max() > 0
    np.testing.assert_allclose(smoothed.per_picture["eps"], certified / np.sqrt(3 * 32 * 32))
    assert smoothed.metrics["smoothed_l2_median"] in certified
    assert smoothed.metrics["smoothed_distance_mean"] == smoothed.per_picture["distance"].mean()


def test_every_exported_file_is_what_it_says(folder: Path, done: Path) -> None:
    hasher = blocks()
    pictures = {picture.name: picture for picture in pictures_of(folder).pictures}
    codes = {name: hasher.verdict(picture.saved) for name, picture in pictures.items()}
    results = load_matches(done)
    seen = 0
    for attack in ("evade", "collide", "evade-by-distance"):
        for eps in ("4/255", "10/255"):
            cell = result_of(results, attack=attack, eps=eps)
            place = done.parent / "files" / "blocks" / attack / eps.replace("/", "-")
            files = {path.relative_to(place).as_posix(): path for path in place.rglob("*.png")}
            assert len(files) == cell.per_picture["won"].sum()
            for name, path in files.items():
                clean = pictures[name]
                file = np.array(Image.open(path))
                low, high = clean.box(Fraction(eps))
                assert (file >= low).all()
                assert (file <= high).all()
                assert np.abs(file.astype(int) - clean.saved).max() <= 255 * Fraction(eps)
                code = hasher.verdict(file)
                if attack == "collide":
                    others = [codes[other] for other in codes if other != name]
                    assert min(int((code != other).sum()) for other in others) <= 3
                else:
                    assert int((code != codes[name]).sum()) > 3
                seen += 1
    assert seen > 8


def artifacts(out: Path) -> dict[str, bytes]:
    """All that counts of a store: not when and where it was made."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted((out / "artifacts").rglob("*"))
        if path.is_file() and path.name != "done.json"
    }


def test_the_same_bytes_with_workers_and_where_half_is_there(
    folder: Path, done: Path, tmp_path: Path
) -> None:
    match(folder, tmp_path / "two", *GRID, *("--export-images", tmp_path / "files"), workers=2)
    assert artifacts(tmp_path / "two") == artifacts(done)
    shutil.copytree(done, tmp_path / "half")
    kept = sorted(path for path in (tmp_path / "half" / "artifacts").glob("*/*") if path.is_dir())
    for path in kept[::2]:
        shutil.rmtree(path)
    match(folder, tmp_path / "half", *GRID, *("--export-images", tmp_path / "again"))
    whole, half = artifacts(done), artifacts(tmp_path / "half")
    # All results are there again, of the same bytes; what only lost steps had read is not made.
    assert half.items() <= whole.items()
    found, wanted = load_matches(tmp_path / "half"), load_matches(done)
    assert not found.failed
    assert [(one.cell, one.metrics) for one in found.cells] == [
        (one.cell, one.metrics) for one in wanted.cells
    ]
    files = {
        place: {
            path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*.png")
        }
        for place in (tmp_path / "files", tmp_path / "again", done.parent / "files")
    }
    assert len({str(sorted(one.items())) for one in files.values()}) == 1


@pytest.mark.slow
def test_a_killed_run_goes_on(folder: Path, done: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = command(
        *("match", "--plugin", PLUGIN, "--images", folder, "--out", out, "--hash", "blocks"),
        *("--size", SIZE, "--workers", 2, *GRID, "--export-images", tmp_path / "files"),
    )
    for wait in (4.0, 6.0, 7.0):
        with subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True) as process:
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert artifacts(out) == artifacts(done)


def test_a_proof_that_claims_too_much_ends_with_1_and_is_named(
    folder: Path, tmp_path: Path
) -> None:
    words = ("match", "--plugin", PLUGIN, "--images", folder, "--out", tmp_path / "out")
    more = ("--hash", "blocks-unsound", "--size", SIZE, "--attack", "evade", "--eps", "least")
    found = run(*words, *more, "--eps", "10/255", code=1)
    said = " ".join(found.stderr.split())
    assert "WRONG blocks-unsound, evade, eps least" in said
    assert "WRONG blocks-unsound, evade, eps 10/255" in said
    assert "more bits than is proven that any can" in said
    assert "WRONG" in run("report", tmp_path / "out", code=1).stderr


def test_a_hash_without_a_replica_meets_black_boxes_alone(folder: Path, tmp_path: Path) -> None:
    words = ("match", "--plugin", PLUGIN, "--images", folder, "--hash", "blocks-alone")
    more = ("--size", SIZE, "--eps", "10/255", "--workers", 1, "--smooth", 0.1, "--draws", 100)
    found = run(*words, *more, "--out", tmp_path / "out")
    assert "has no replica with gradients, so attack evade is not for it" in found.stderr
    results = load_matches(tmp_path / "out")
    attacks = {one.cell.attack for one in results.cells}
    assert attacks == {
        "none",
        "evade-by-distance",
        "collide-by-distance",
        "smoothing:sigma=0.1,draws=100",
    }
    evaded = result_of(results, attack="evade-by-distance")
    assert evaded.black_box
    assert evaded.queries > 0
    assert (evaded.per_picture["queries"] <= evaded.queries).all()
    refused = run(*words, *more, "--attack", "evade", "--out", tmp_path / "other", code=2)
    assert "take evade-by-distance or collide-by-distance" in " ".join(refused.stderr.split())
    assert not (tmp_path / "other").exists()


def test_reports_of_every_format(done: Path, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("report", done, "--format", "csv").stdout)))
    assert list(rows[0])[:5] == ["hash", "attack", "eps", "metric", "value"]
    named = {row["metric"] for row in rows}
    assert {
        "evasion",
        "collision",
        "attacked_eps_mean",
        "attacked_eps_median",
        "proven_eps_mean",
        "proven_eps_median",
        "smoothed_l2_mean",
        "smoothed_eps_median",
        "tpr@fpr=1e-3",
    } <= named
    for name in ("r.html", "r.md", "r.tex", "r.jsonl", "r.parquet"):
        run("report", done, "-o", tmp_path / name)
        assert (tmp_path / name).stat().st_size > 500
    run("report", done, "--plots", tmp_path / "plots")
    assert list((tmp_path / "plots").glob("*.png"))
    assert (
        "9 cells of matches" in run("status", done).stdout
        or "cells of matches" in run("status", done).stdout
    )


def test_what_plans_of_matches_need_is_not_swept(done: Path, tmp_path: Path) -> None:
    shutil.copytree(done, tmp_path / "copy")
    before = artifacts(tmp_path / "copy")
    run("store", "gc", tmp_path / "copy", "--yes")
    assert artifacts(tmp_path / "copy") == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--hash", "blocs"), "did you mean 'blocks'?"),
        (("--hash", "blocks:threshold=16"), "16 bits and the threshold 16"),
        (("--eps", "l2:0.5"), "inside linf balls"),
        (("--eps", "leest"), "leest"),
        (("--images", "nowhere"), "nowhere"),
        (("--size", "0x0"), "0x0"),
        (("--attack", "transfer"), "is not trained"),
        (("--attack", "evade", "--attack", "evade"), "asked for twice"),
        (("--strangers", "nowhere"), "nowhere"),
        (("--smooth", "0"), "sigma is 0.0"),
        (("--smooth", "0.1", "--smooth", "0.1"), "asked for twice"),
        (("--draws", "0"), "draws"),
    ],
)
def test_wrong_usage_is_told_before_any_work(
    folder: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "out"
    first = () if "--images" in words else ("--images", folder)
    hashes = () if "--hash" in words else ("--hash", "blocks")
    found = run("match", "--plugin", PLUGIN, "--out", out, *first, *hashes, *words, code=2)
    assert said in " ".join(found.stderr.split())
    assert not out.exists()


def test_a_folder_of_other_results_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "0.json").write_text("{}")
    found = run(
        *("match", "--plugin", PLUGIN, "--hash", "blocks", "--images", folder),
        *("--out", tmp_path),
        code=2,
    )
    assert "holds results of 'hashbench run'" in " ".join(found.stderr.split())
