"""fiqa-eval run: every number against a plain second computation, and what a second run computes again."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from fiqa_evaluation.data_set.files import read_quality
from fiqa_evaluation.data_set.set_folder import SetFolder
from fiqa_runtime.scoring.agreement import spearman
from scipy.stats import pearsonr, spearmanr

from tests.help.evaluation.data_sets import face, rows_of
from tests.help.evaluation.plain_discard import FRACTIONS
from tests.help.evaluation.plain_evaluation import (
    angle,
    at,
    naive_distance,
    naive_draw,
    naive_error,
    naive_superiority,
    naive_threshold,
    step_area,
    template_quality,
    template_vector,
)
from tests.help.evaluation.plan_sample import ENGINES, OPINIONS, Workshop, plain_scores, plain_vectors, run

SETS = ("bin", "xqlfw", "ijbc", "photos (yunet)", "photos (mtcnn)")
STARTS = (("fmr", 0.1), ("fnmr", 0.2))


def folder_of(workshop: Workshop, title: str) -> SetFolder:
    name = title.split()[0]
    found = workshop.data(name)
    return found[-1] if title.endswith("(mtcnn)") else found[0]


def plain_pairs(data: SetFolder, vectors: dict[str, np.ndarray], scores: dict[str, float]) -> tuple[Any, list[float]]:
    """Pairs (a, b, genuine, distance) over what is compared, images or templates, and its qualities."""
    rows = rows_of(data.pairs)
    names = list(dict.fromkeys(name for row in rows for name in row[:2]))
    if data.templates:
        lines = [tuple(row) for row in rows_of(data.templates)]
        vectors = {name: template_vector(lines, name, vectors) for name in names}  # type: ignore[arg-type]
        scores = {name: template_quality(lines, name, scores) for name in names}  # type: ignore[arg-type]
    place = {name: index for index, name in enumerate(names)}
    pairs = [(place[a], place[b], same == "1", angle(vectors[a], vectors[b])) for a, b, same in rows]
    return pairs, [scores[name] for name in names]


@pytest.mark.parametrize("recogniser", ["seeded", "ediffiqa"])
@pytest.mark.parametrize("title", SETS)
def test_curves_equal_a_plain_computation(workshop: Workshop, title: str, recogniser: str) -> None:
    data = folder_of(workshop, title)
    vectors = plain_vectors(workshop.folder, data.path, recogniser)
    (part,) = [p for p in workshop.document["discard"] if (p["set"], p["recogniser"]) == (title, recogniser)]
    for engine in ENGINES:
        kept = read_quality(scores_file(workshop, data, engine), data.names).tolist()
        plain = plain_scores(workshop.folder, data.path, engine)
        rounding = 0.02 if engine == "standin8" else 2e-5  # a sum beside a level of int8 may go to the next one
        assert kept == pytest.approx([plain[name] for name in data.names], abs=rounding)
        scores = dict(zip(data.names, kept, strict=True))  # so that rounding cannot change the order
        pairs, quality = plain_pairs(data, vectors, scores)
        rows = [row for row in part["edc"] if row["name"] == engine]
        for row, (by, rate) in zip(rows, STARTS, strict=True):
            threshold = naive_threshold(pairs, by, rate)
            points = naive_error(pairs, quality, "genuine", threshold)
            assert row["start"] == {"by": by, "rate": rate}
            assert row["fnmr"] == pytest.approx([at(points, share) for share in FRACTIONS], abs=1e-9)
            for limit in (0.2, 0.4):
                assert row["pauc"][f"{limit:g}"] == pytest.approx(step_area(points, limit), abs=1e-9)


def scores_file(workshop: Workshop, data: SetFolder, engine: str) -> Path:
    """The quality file of a set: that whose paths are the set's own."""
    files = (workshop.results / "scores").glob(f"*/{engine}_{data.name}.txt")
    return next(file for file in files if str(data.path) in file.read_text("utf-8"))


def test_bands_and_differences_equal_plain_draws(workshop: Workshop) -> None:
    data = folder_of(workshop, "bin")
    vectors = plain_vectors(workshop.folder, data.path, "seeded")
    persons = dict(rows_of(data.persons)) if data.persons else {}
    (part,) = [p for p in workshop.document["discard"] if (p["set"], p["recogniser"]) == ("bin", "seeded")]
    drawn: dict[str, list[Any]] = {}
    for engine in ("standin", "seeded-net"):
        kept = read_quality(scores_file(workshop, data, engine), data.names).tolist()
        pairs, quality = plain_pairs(data, vectors, dict(zip(data.names, kept, strict=True)))
        names = list(dict.fromkeys(name for row in rows_of(data.pairs) for name in row[:2]))
        identity = np.unique([persons[name] for name in names], return_inverse=True)[1].tolist()
        generator = np.random.default_rng(0)
        count = max(identity) + 1
        draws = [generator.integers(count, size=count).tolist() for _ in range(30)]
        drawn[engine] = [naive_draw(pairs, identity, draw, quality, 0.1) for draw in draws]
        row = next(row for row in part["edc"] if row["name"] == engine)
        fnmr = np.array([found[0] for found in drawn[engine]])
        low, high = np.nanpercentile(fnmr, (2.5, 97.5), axis=0)
        assert row["low"] == pytest.approx(low.tolist(), abs=1e-9)
        assert row["high"] == pytest.approx(high.tolist(), abs=1e-9)
    (told,) = [
        d
        for d in part["differences"]
        if (d["first"], d["second"], d["start"], d["limit"]) == ("standin", "seeded-net", "FMR 0.1", 0.2)
    ]
    areas = {name: np.array([found[1][0] for found in rows]) for name, rows in drawn.items()}
    low, high = np.nanpercentile(areas["standin"] - areas["seeded-net"], (2.5, 97.5))
    assert (told["low"], told["high"]) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


def test_distributions_equal_a_plain_computation(workshop: Workshop) -> None:
    for part in workshop.document["distributions"]:
        values = {}
        for title in SETS:
            data = folder_of(workshop, title)
            values[title] = read_quality(scores_file(workshop, data, part["method"]), data.names).tolist()
        assert list(part["sets"]) == list(SETS)
        for row in part["contrasts"]:
            one, other = values[row["first"]], values[row["second"]]
            assert row["distance"] == pytest.approx(naive_distance(one, other), abs=1e-12)
            assert row["superiority"] == pytest.approx(naive_superiority(one, other), abs=1e-12)


def test_opinions_equal_scipy_over_all_and_over_each_tone(workshop: Workshop) -> None:
    (part,) = workshop.document["opinions"]
    rows = part["scores"]
    assert part["images"] == OPINIONS and part["column"] == "tone"
    for engine in ENGINES:
        mos = [row["mos"] for row in rows]
        scores = [row["engines"][engine] for row in rows]
        assert part["engines"][engine]["srcc"]["value"] == pytest.approx(spearmanr(scores, mos).statistic)
        for start, tone in ((0, "light"), (1, "dark")):
            own = part["groups"][tone]["engines"][engine]
            assert own["srcc"]["value"] == pytest.approx(spearmanr(scores[start::2], mos[start::2]).statistic)
            assert own["plcc"]["value"] == pytest.approx(pearsonr(scores[start::2], mos[start::2]).statistic)


def test_what_precision_costs_and_how_detectors_differ(workshop: Workshop) -> None:
    document = workshop.document
    assert len(document["precision"]) == len(SETS) * 2
    assert any(abs(row["difference"]) > 1e-3 for row in document["precision"]), "a curve that moves"
    for row in document["precision"]:
        assert (row["low_precision"], row["reference"]) == ("standin8", "standin")
        (part,) = [p for p in document["discard"] if (p["set"], p["recogniser"]) == (row["set"], row["recogniser"])]
        areas = {
            r["name"]: r["pauc"]["0.4"]
            for r in part["edc"]
            if f"{r['start']['by'].upper()} {r['start']['rate']:g}" == row["start"]
        }
        assert row["difference"] == pytest.approx(areas["standin8"] - areas["standin"], abs=1e-12)
        assert row["moved"] == (not row["low"] <= 0 <= row["high"])
    first, second = (folder_of(workshop, f"photos ({name})") for name in ("yunet", "mtcnn"))
    assert [row["method"] for row in document["detectors"]] == list(ENGINES)
    for row in document["detectors"]:
        one, other = (read_quality(scores_file(workshop, d, row["method"]), first.names) for d in (first, second))
        assert row["srcc"] == pytest.approx(spearman(one, other))
        assert row["largest_difference"] == pytest.approx(np.abs(other - one).max()) and row["images"] == 15
        assert row["largest_difference"] > 1e-3


def test_the_int8_engine_computes_in_int8_and_the_page_says_what_that_costs(workshop: Workshop) -> None:
    kinds = Counter(node.op_type for node in onnx.load(workshop.folder / ENGINES["standin8"]).graph.node)
    assert kinds["QuantizeLinear"] > 20 and kinds["DequantizeLinear"] > kinds["QuantizeLinear"], "weights too"
    data = folder_of(workshop, "bin")
    exact, coarse = (read_quality(scores_file(workshop, data, n), data.names) for n in ("standin", "standin8"))
    assert np.abs(coarse - exact).max() > 1e-4 and 0.5 < spearman(exact, coarse) < 0.99
    moved = sum(row["moved"] for row in workshop.document["precision"])
    told = f"standin8 in place of standin: the curve moves measurably in {moved} of {2 * len(SETS)} combinations"
    assert told in " ".join(workshop.out.split())
    assert told in (workshop.results / "report.html").read_text("utf-8")


def test_worst_and_best_faces_are_those_of_the_scores(workshop: Workshop) -> None:
    for entry in workshop.document["faces"]:
        data = folder_of(workshop, entry["set"])
        values = read_quality(scores_file(workshop, data, entry["method"]), data.names).tolist()
        assert [row["score"] for row in entry["worst"]] == sorted(values)[:6]
        assert [row["score"] for row in entry["best"]] == sorted(values)[::-1][:6]


def test_a_second_run_computes_nothing_and_a_changed_engine_its_part(
    workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(workshop.folder, folder, copy_function=shutil.copy2)
    for file in (folder / "plan/scores").glob("*/*.txt"):
        file.write_text(file.read_text().replace(str(workshop.folder), str(folder)))
    run(folder)
    again = capsys.readouterr().err
    assert "0 steps made" in again, again
    assert json.loads((folder / "found.json").read_text())["discard"] == workshop.document["discard"]
    seeded = folder / "seeded/ediffiqa-t.fp32.onnx"
    for name in (seeded.name, f"{seeded.name}.json"):
        shutil.copy2(folder / "standin" / name, folder / "seeded" / name)
    run(folder, "-v")
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("made ")]
    kinds = [line.split()[1].split("-")[0] for line in told]
    assert kinds.count("score") == len(SETS) and "embed" not in kinds, told
    assert all("seeded" in line for line in told if line.startswith("made score"))
    assert kinds.count("distribution") == 1 and kinds.count("opinions") == 1 and kinds.count("discard") == 2 * len(SETS)
    rows = [row for part in json.loads((folder / "found.json").read_text())["discard"] for row in part["edc"]]
    first, _, third = ([row["fnmr"] for row in rows if row["name"] == name] for name in ENGINES)
    assert first == third, "the third engine is now the first one"


def test_a_changed_set_is_prepared_anew(workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(workshop.folder, folder, copy_function=shutil.copy2)
    for file in (folder / "plan/scores").glob("*/*.txt"):
        file.write_text(file.read_text().replace(str(workshop.folder), str(folder)))
    cv2.imwrite(str(folder / "xqlfw/xqlfw_aligned_112/person_0/person_0_0002.jpg"), face(0, 3))
    run(folder, "-v")
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("made ")]
    assert all("xqlfw" in line or "distribution" in line for line in told) and len(told) == 2 + 3 + 2 + 3, told


def test_people_are_told(workshop: Workshop) -> None:
    assert "A test of everything" in workshop.out
    flat = " ".join(workshop.out.split())
    for text in (
        "the faces are drawn",
        "standin, standin8: stand-in weights",
        "seeded-net: seeded weights",
        "small sets: bin (16 genuine and 16 impostor pairs)",
        "fewer than 20 persons to draw from",
    ):
        assert text in flat, text
    assert (workshop.folder / "curves.pdf").read_bytes().startswith(b"%PDF")
