"""Data sets in the forms in which they are published, made of persons who are drawn: blurred noise, then damaged."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fiqa_calibration.activations import measure
from fiqa_export.graph.loading import open_graph
from fiqa_export.graph.loading import save_graph as save_model
from fiqa_export.int8.qdq import activations_read, candidates, insert_qdq
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.images.align import STANDARD
from fiqa_runtime.images.seeded import seeded_image
from onnx import utils as onnx_utils

from tests.help.samples.cards import card_beside_alone, int8_conversion
from tests.help.samples.onnx_graphs import node, save_graph

SIDE = 112
Picture = np.ndarray


def face(person: int, index: int, side: int = SIDE) -> Picture:
    """The picture `index` of a `person`, uint8 BGR; the higher the index, the more it is damaged."""
    base = cv2.resize(seeded_image(person, 7, 7), (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    noise = np.random.default_rng(1000 * person + index).normal(0, 6 + 14 * index, base.shape)
    blurred = cv2.GaussianBlur(base, (0, 0), 0.5 + 1.5 * index)
    return np.asarray(np.clip(blurred + noise, 0, 255), np.uint8)


def jpeg(image: Picture, quality: int = 95) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def bin_content(persons: int = 8, per_person: int = 3, side: int = SIDE) -> tuple[list[bytes], list[bool]]:
    """Images and flags as InsightFace keeps them: as many genuine as impostor pairs, images in several pairs."""
    images: list[bytes] = []
    flags: list[bool] = []
    for person in range(persons):
        for index in range(1, per_person):
            images += [jpeg(face(person, 0, side)), jpeg(face(person, index, side))]
            flags.append(True)
            other = (person + index) % persons
            images += [jpeg(face(person, index, side)), jpeg(face(other, index, side))]
            flags.append(False)
    return images, flags


def write_bin(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def write_tree(folder: Path, persons: int = 6, per_person: int = 3, suffix: str = ".jpg") -> Path:
    """`<person>/<person>_0001.jpg`, as LFW and XQLFW."""
    for person in range(persons):
        place = folder / f"person_{person}"
        place.mkdir(parents=True)
        for index in range(per_person):
            cv2.imwrite(str(place / f"person_{person}_{index + 1:04d}{suffix}"), face(person, index))
    return folder


def lfw_list(persons: int = 6, per_person: int = 3) -> str:
    """A list in LFW's form with a head line and tabs."""
    lines = [f"{persons}\t{per_person}"]
    for person in range(persons):
        for index in range(2, per_person + 1):
            lines.append(f"person_{person}\t1\t{index}")
            lines.append(f"person_{person}\t{index}\tperson_{(person + index) % persons}\t{index}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Ijbc:
    """What :func:`write_ijbc` wrote, as plain lists."""

    lines: list[tuple[int, int, int]]
    """Image, template, media."""
    pairs: list[tuple[int, int, int]]
    """Template, template, label."""


def write_ijbc(folder: Path, persons: int = 6) -> Ijbc:
    """Loose crops of 200 x 200 with their five points; two templates per person, of a still and of a video."""
    (folder / "loose_crop").mkdir(parents=True)
    (folder / "meta").mkdir()
    lines, points = [], []
    number = 1
    for person in range(persons):
        for half in range(2):
            for frame in range(3):
                image = np.zeros((200, 200, 3), np.uint8)
                image[40:152, 30:142] = face(person, half + frame)
                cv2.imwrite(str(folder / f"loose_crop/{number}.jpg"), image)
                places = " ".join(f"{value:.3f}" for value in np.add(STANDARD, (30, 40)).reshape(-1).tolist())
                points.append(f"{number}.jpg {places} 0.99")
                lines.append((number, 2 * person + half, 100 + number if frame == 0 else 50 + person))
                number += 1
    templates = range(2 * persons)
    pairs = [(a, b, int(a // 2 == b // 2)) for a in templates for b in templates if a < b]
    meta = folder / "meta"
    (meta / "ijbc_name_5pts_score.txt").write_text("\n".join(points) + "\n")
    (meta / "ijbc_face_tid_mid.txt").write_text("".join(f"{i}.jpg {t} {m}\n" for i, t, m in lines))
    (meta / "ijbc_template_pair_label.txt").write_text("".join(f"{a} {b} {k}\n" for a, b, k in pairs))
    return Ijbc(lines, pairs)


def write_recogniser(path: Path, numbers: int = 32, seed: int = 0) -> Path:
    """An ONNX file without card: means of 14 x 14 fields, then seeded weights; the batch is free."""
    generator = np.random.default_rng(seed)
    weights = {"w": (generator.standard_normal((3 * 64, numbers)) / 8).astype(np.float32)}
    nodes = [
        node("AveragePool", "x", "pooled", kernel_shape=[14, 14], strides=[14, 14]),
        node("Flatten", "pooled", "flat"),
        node("MatMul", "flat w"),
    ]
    return save_graph(path, nodes, weights, ["batch", 3, SIDE, SIDE])


def plain_embedding(crop: Picture, path_seed: int = 0, numbers: int = 32) -> np.ndarray:
    """What that network gives for a crop fed as ArcFace is, not normalised."""
    generator = np.random.default_rng(path_seed)
    weights = generator.standard_normal((3 * 64, numbers)) / 8
    fed = (crop[:, :, ::-1].astype(np.float64).transpose(2, 0, 1) - 127.5) / 127.5
    means = fed.reshape(3, 8, 14, 8, 14).mean(axis=(2, 4))
    return np.asarray(means.reshape(-1) @ weights)


def cut_embedding(engine: Path, folder: Path) -> Path:
    """The embedding of eDifFIQA(T), cut out of its exported graph."""
    path = folder / "ediffiqa-embedding.onnx"
    onnx_utils.extract_model(str(engine), str(path), ["input"], ["base_model/Div"])
    return path


def int8_copy(engine: Path, path: Path, crop: Picture) -> Path:
    """The engine with every layer that can in int8, without the search for what has to stay in float32, which takes
    minutes. Activations are cut off at half of the largest for one `crop`, so that scores change their order."""
    model = open_graph(engine)
    layers = candidates(model.graph)
    read = {str(value.name): 1 for node in layers for value in activations_read(node)}
    measured = measure(engine, read, [{"input": fed(crop)}])
    ranges = {name: float(found.channels.max()) / 2 for name, found in measured.items()}
    insert_qdq(model, [str(node.name) for node in layers], ranges)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, path)
    card_beside_alone(replace(read_card(engine), precision="int8", conversion=int8_conversion()), path)
    return path


def fed(crop: Picture) -> np.ndarray:
    """A crop as eDifFIQA and ArcFace are fed."""
    return np.asarray(((crop[:, :, ::-1].astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None])


def rows_of(path: Path) -> Sequence[list[str]]:
    """The fields of each line."""
    return [line.split() for line in path.read_text("utf-8").splitlines()]
