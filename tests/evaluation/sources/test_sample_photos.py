"""fiqa-eval over real photos and degraded copies: found by YuNet, aligned, scored; worse copies score lower."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from fiqa_evaluation.data_set.files import read_quality
from fiqa_evaluation.data_set.set_folder import open_set
from fiqa_export.pipeline import export
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.align import arcface_crop
from fiqa_runtime.images.reading import read_image

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import cut_embedding

PHOTOS = ("skimage/astronaut.png", "face_recognition/obama_small.jpg", "ediffiqa/Aaron_Eckhart_0001.jpg")
YUNET = "face_detection_yunet_2023mar.onnx"


def test_photos_to_a_curve(evaluate: Invoke, images_dir: Path, weights_dir: Path, tmp_path: Path) -> None:
    for person, name in enumerate(PHOTOS):
        (tmp_path / f"photos/p{person}").mkdir(parents=True)
        photo = read_image(images_dir / name)
        for index, blur in enumerate((0, 1.5, 4)):
            copy = photo if not blur else cv2.GaussianBlur(photo, (0, 0), blur * photo.shape[1] / 500)
            cv2.imwrite(str(tmp_path / f"photos/p{person}/{index}.png"), copy)
    made = evaluate("prepare", tmp_path / "photos", "--out", tmp_path / "d", "--detector", weights_dir / YUNET)
    assert made.code == 0, made.err
    data = open_set(tmp_path / "d/photos")
    finder = Detector(weights_dir / YUNET)
    photo = read_image(tmp_path / "photos/p0/0.png")
    centre = (np.array(photo.shape[1::-1]) - 1) / 2
    nearest = min(finder.detect(photo), key=lambda face: float(np.hypot(*(face.landmarks[2] - centre))))
    written = data.read("p0/0").astype(int)
    assert np.abs(written - arcface_crop(photo, nearest.landmarks)).max() <= 8, "JPEG at its highest quality"
    engine = export("ediffiqa-t", "standin", tmp_path / "engines").path
    network = cut_embedding(engine, tmp_path)
    on_one_thread = ("--backend", "onnxruntime", "--threads", 1)
    assert evaluate("score", data.path, "--engine", engine, *on_one_thread).code == 0
    scores = read_quality(data.quality_file("ediffiqa-t.fp32"), data.names).reshape(len(PHOTOS), 3)
    assert (scores[:, 0] > scores[:, 2]).all(), "the most blurred copy of each scores lower"
    embedded = evaluate("embed", data.path, "--recogniser", network, "--preset", "arcface", *on_one_thread)
    assert embedded.code == 0, embedded.err
    vectors = tmp_path / "d/quality_embeddings/photos_ediffiqa-embedding"
    shown = evaluate("discard", data.path, "--embeddings", vectors, "--fmr", 0.1, "--bootstrap", 20, "--json", "-")
    assert shown.code == 0, shown.err
    document = json.loads(shown.out)
    assert (document["comparisons"]["genuine"], document["comparisons"]["impostor"]) == (9, 27)
