"""Real documents of fiqa-eval, manifests and plans keep to their JSON Schemas, without unknown entries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.docs.conftest import ENGINE_ON_ONE_THREAD, Check
from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import bin_content, write_bin, write_recogniser
from tests.help.places import EXAMPLES, GOLDEN


def test_curves(command: dict[str, Invoke], tmp_path: Path, check: Check) -> None:
    folder = GOLDEN / "erc" / "disjoint"
    for index, vector in enumerate(np.load(folder.with_suffix(".npz"))["embeddings"]):
        np.save(tmp_path / f"{index:05d}.npy", vector)
    files = ("--embeddings", tmp_path, "--scores", folder / "GOOD_disjoint.txt", folder / "PFE_disjoint.txt")
    options = ("--bootstrap", 3, "--also", "fmr,det", "--fnmr", 0.1, "--json", "-")
    for chosen in (options, ("--protocol", "cr-fiqa", "--json", "-")):
        result = command["fiqa-eval"]("discard", folder / "pair_list.txt", *files, *chosen)
        assert result.code == 0, result.err
        check("discard", json.loads(result.out))


def test_opinions(
    command: dict[str, Invoke], seeded_engine: Path, crops: list[Path], tmp_path: Path, check: Check
) -> None:
    labels = tmp_path / "labels.csv"
    rows = (f"{crop.name},{index},{index % 2}\n" for index, crop in enumerate(crops))
    labels.write_text("image,mos,tone\n" + "".join(rows))
    options = ("--images", crops[0].parent, "--cache", tmp_path / "scores.sqlite", "--by", "tone", "--json", "-")
    result = command["fiqa-eval"]("opinions", labels, "--engine", seeded_engine, *options, *ENGINE_ON_ONE_THREAD)
    assert result.code == 0, result.err
    check("opinions", json.loads(result.out))


def test_sets_and_their_distributions(command: dict[str, Invoke], tmp_path: Path, check: Check) -> None:
    for name, persons in (("one", 4), ("two", 6)):
        images, flags = bin_content(persons, 2)
        images[1] = b"damaged"
        source = write_bin(tmp_path / f"{name}.bin", (images, flags))
        assert command["fiqa-eval"]("prepare", source, "--out", tmp_path).code == 2, "an image is damaged"
        check("set", json.loads((tmp_path / name / "manifest.json").read_text("utf-8")))
        lines = (f"{tmp_path}/{name}/images/{place:05d}.jpg {place}\n" for place in range(len(images)))
        (tmp_path / name / f"M_{name}.txt").write_text("".join(lines))
    result = command["fiqa-eval"]("distributions", tmp_path / "one", tmp_path / "two", "--json", "-")
    assert result.code == 0, result.err
    check("distributions", json.loads(result.out))


def test_a_plan_and_what_it_found(
    command: dict[str, Invoke], seeded_engine: Path, crops: list[Path], tmp_path: Path, check: Check
) -> None:
    toml = pytest.importorskip("tomllib")
    check("plan", toml.loads((EXAMPLES / "plan.toml").read_text("utf-8")))
    write_bin(tmp_path / "lfw.bin", bin_content(4, 2))
    write_recogniser(tmp_path / "net.onnx")
    rows = (f"{crop.name},{index / 10}\n" for index, crop in enumerate(crops))
    (crops[0].parent / "labels.csv").write_text("image,mos\n" + "".join(rows))
    plan = f"""
title = "t"
[[sets]]
name = "lfw"
source = "lfw.bin"
[[recognisers]]
name = "net"
network = "net.onnx"
preset = "arcface"
[[qualities]]
engine = "{seeded_engine}"
[[opinions]]
name = "o"
labels = "{crops[0].parent}/labels.csv"
bootstrap = 10
[discard]
fmr = [0.2]
bootstrap = 3
[run]
backend = "onnxruntime"
threads = 1
"""
    (tmp_path / "plan.toml").write_text(plan)
    check("plan", toml.loads(plan))
    result = command["fiqa-eval"]("run", tmp_path / "plan.toml", "--json", "-")
    assert result.code == 0, result.err
    check("run", json.loads(result.out))
