"""A plan over three published forms, photos by two detectors, two recognisers and three quality networks, and what it
must give, in plain loops."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import fiqa_evaluation.cli
import numpy as np
import onnxruntime
import pytest
from fiqa_evaluation.data_set.set_folder import SetFolder, open_set
from fiqa_export.pipeline import export
from fiqa_runtime.artefact.card import card_path
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.align import STANDARD

from tests.help.evaluation.data_sets import (
    bin_content,
    cut_embedding,
    face,
    fed,
    int8_copy,
    lfw_list,
    plain_embedding,
    write_bin,
    write_ijbc,
    write_recogniser,
    write_tree,
)
from tests.help.evaluation.plain_evaluation import unit

PLAN = """
title = "A test of everything"
notes = ["the faces are drawn"]
could_not = ["no published data set was at hand"]

[[sets]]
name = "bin"
source = "lfw.bin"

[[sets]]
name = "xqlfw"
source = "xqlfw"

[[sets]]
name = "ijbc"
source = "IJBC"

[[sets]]
name = "photos"
source = "photos"
detectors = ["yunet", "mtcnn"]

[[recognisers]]
name = "seeded"
network = "net.onnx"
preset = "arcface"

[[recognisers]]
name = "ediffiqa"
network = "ediffiqa-embedding.onnx"
preset = "arcface"
flip = false

[[qualities]]
engine = "standin/ediffiqa-t.fp32.onnx"
name = "standin"

[[qualities]]
engine = "standin/ediffiqa-t.int8.onnx"
name = "standin8"

[[qualities]]
engine = "seeded/ediffiqa-t.fp32.onnx"
name = "seeded-net"

[[opinions]]
name = "drawn"
labels = "opinions/labels.csv"
by = "tone"
range = [0, 1]
bootstrap = 40

[discard]
fmr = [0.1]
fnmr = [0.2]
limits = [0.2, 0.4]
bootstrap = 30

[run]
backend = "onnxruntime"
threads = 1
"""
ENGINES = {
    "standin": "standin/ediffiqa-t.fp32.onnx",
    "standin8": "standin/ediffiqa-t.int8.onnx",
    "seeded-net": "seeded/ediffiqa-t.fp32.onnx",
}
OPINIONS = 24


class Finder:
    """Takes the face at a known place; another detector is a little off."""

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def detect(self, image: np.ndarray) -> list[Detection]:
        places = (STANDARD + 40 + self.shift).astype(np.float32)
        return [Detection(np.zeros(4, np.float32), places, 1.0)]


@dataclass(frozen=True)
class Workshop:
    """The folder of the plan, and what a run of it said."""

    folder: Path
    out: str
    err: str

    @property
    def results(self) -> Path:
        return self.folder / "plan"

    @property
    def document(self) -> Any:
        return json.loads((self.folder / "found.json").read_text("utf-8"))

    def data(self, name: str) -> list[SetFolder]:
        """The prepared sets of a name, in the order in which they were made."""
        found = sorted((self.results / "sets").glob(f"*/{name}"), key=lambda path: path.stat().st_ctime_ns)
        return [open_set(path) for path in found]


def write_material(folder: Path, seeded_engine: Path) -> None:
    """Everything that the plan names; eDifFIQA(T) under seeded weights is there already."""
    write_bin(folder / "lfw.bin", bin_content(8, 3))
    write_tree(folder / "xqlfw/xqlfw_aligned_112", 7, 3)
    (folder / "xqlfw/xqlfw_pairs.txt").write_text(lfw_list(7, 3))
    write_ijbc(folder / "IJBC", 7)
    for person in range(5):
        (folder / f"photos/{person}").mkdir(parents=True)
        for index in range(3):
            photo = np.full((220, 220, 3), 90, np.uint8)
            photo[40:152, 40:152] = face(person, index)
            cv2.imwrite(str(folder / f"photos/{person}/{index}.png"), photo)
    (folder / "opinions").mkdir()
    lines = ["image,mos,tone"]
    for place in range(OPINIONS):
        cv2.imwrite(str(folder / f"opinions/{place:02}.png"), face(place, place % 4))
        lines.append(f"{place:02}.png,{1 - (place % 4) / 4 - place / 100:.3f},{'dark' if place % 2 else 'light'}")
    (folder / "opinions/labels.csv").write_text("\n".join(lines))
    write_recogniser(folder / "net.onnx")
    standin = export("ediffiqa-t", "standin", folder / "standin").path
    cut_embedding(standin, folder)
    int8_copy(standin, folder / "standin/ediffiqa-t.int8.onnx", face(0, 3))
    (folder / "seeded").mkdir()
    for file in (seeded_engine, card_path(seeded_engine)):
        shutil.copy2(file, folder / "seeded" / file.name)
    (folder / "plan.toml").write_text(PLAN)


@contextmanager
def known_finders() -> Iterator[None]:
    """Detectors whose faces are known beforehand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "fiqa_evaluation.sources.find_source.open_finder", lambda name, preset: Finder(0 if name == "yunet" else 3)
        )
        yield


def run(folder: Path, *options: object) -> None:
    """`fiqa-eval run plan.toml --json found.json` in `folder`, which must end well."""
    arguments = ("run", folder / "plan.toml", "--json", folder / "found.json", *options)
    with pytest.MonkeyPatch.context() as patch, known_finders():
        patch.setattr("sys.argv", ["fiqa-eval", *map(str, arguments)])
        patch.setenv("XDG_CACHE_HOME", os.fspath(folder / "cache"))
        try:
            fiqa_evaluation.cli.main()
        except SystemExit as stop:
            assert not stop.code


@cache
def plain_vectors(folder: Path, path: Path, recogniser: str) -> dict[str, np.ndarray]:
    """Embeddings by name of the prepared set at `path`, one image at a time."""
    data = open_set(path)
    session = onnxruntime.InferenceSession(str(folder / "ediffiqa-embedding.onnx"))
    found = {}
    for name in data.names:
        crop = data.read(name)
        if recogniser == "seeded":
            halves = [unit(plain_embedding(picture)) for picture in (crop, crop[:, ::-1])]
            found[name] = np.concatenate(halves)
        else:
            found[name] = unit(session.run(None, {"input": fed(crop)})[0][0])
    return found


@cache
def plain_scores(folder: Path, path: Path, engine: str) -> dict[str, float]:
    """Scores by name of the prepared set at `path`, one image at a time."""
    data = open_set(path)
    session = onnxruntime.InferenceSession(str(folder / ENGINES[engine]))
    return {name: float(session.run(None, {"input": fed(data.read(name))})[0].reshape(())) for name in data.names}
