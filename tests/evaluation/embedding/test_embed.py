"""fiqa-eval embed: conventions, mirror images, forms on disk, cut runs, canaries, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_evaluation.data_set.embedding_files import read_vectors
from fiqa_evaluation.data_set.set_folder import open_set
from fiqa_evaluation.embedding import extract
from fiqa_evaluation.embedding.conventions import CONVENTIONS, network_text
from fiqa_evaluation.embedding.recogniser import Recogniser, open_recogniser
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.networks.network_file import NetworkFile, read_network

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import (
    bin_content,
    cut_embedding,
    plain_embedding,
    write_bin,
    write_recogniser,
)
from tests.help.evaluation.plain_evaluation import unit
from tests.help.gpu.fake_devices import have_everything
from tests.help.samples.onnx_graphs import node, save_graph

ARCFACE = ("--preset", "arcface", "--backend", "onnxruntime", "--threads", 1)


@pytest.fixture
def data(evaluate: Invoke, tmp_path: Path) -> Path:
    """A prepared data set of 16 images."""
    assert evaluate("prepare", write_bin(tmp_path / "lfw.bin", bin_content(4, 2)), "--out", tmp_path).code == 0
    return tmp_path / "lfw"


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_recogniser(tmp_path / "net.onnx")


def test_an_embedding_is_that_of_the_crop_and_of_its_mirror_image(evaluate: Invoke, data: Path, network: Path) -> None:
    result = evaluate("embed", data, "--recogniser", network, *ARCFACE)
    assert result.code == 0, result.err
    folder = data.parent / "quality_embeddings/lfw_net"
    assert f"{folder}: 16 embeddings of 64 numbers" in result.err
    opened = open_set(data)
    for name in opened.names:
        crop = opened.read(name)
        expected = [unit(plain_embedding(picture)) for picture in (crop, crop[:, ::-1])]
        found = np.load(folder / f"{name}.npy")
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, np.concatenate(expected), rtol=0, atol=2e-6)


@pytest.mark.parametrize("form", ["e.npz", "e.parquet"])
def test_other_forms_without_mirror_images(
    evaluate: Invoke, data: Path, network: Path, tmp_path: Path, form: str
) -> None:
    if form.endswith("parquet"):
        pytest.importorskip("pyarrow")
    result = evaluate("embed", data, "--recogniser", network, *ARCFACE, "--no-flip", "--out", tmp_path / form)
    assert result.code == 0, result.err
    opened = open_set(data)
    found = read_vectors(tmp_path / form, opened.names)
    expected = [unit(plain_embedding(opened.read(name))) for name in opened.names]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_exchanged_colours_give_the_embeddings_of_the_ordinary_ones(
    evaluate: Invoke, network: Path, tmp_path: Path
) -> None:
    source = write_bin(tmp_path / "lfw.bin", bin_content(4, 2))
    for out, options in (("a", ()), ("b", ("--colour-as-published",))):
        assert evaluate("prepare", source, "--out", tmp_path / out, *options).code == 0
        assert evaluate("embed", tmp_path / out / "lfw", "--recogniser", network, *ARCFACE).code == 0
    place = "quality_embeddings/lfw_net/00001.npy"
    one, other = np.load(tmp_path / "a" / place), np.load(tmp_path / "b" / place)
    assert float(one[:32] @ other[:32]) > 0.99
    (tmp_path / "b/lfw/manifest.json").unlink()
    unsaid_place = tmp_path / "c.npz"
    unsaid = ("embed", tmp_path / "b/lfw", "--recogniser", network, *ARCFACE)
    assert evaluate(*unsaid, "--out", unsaid_place).code == 0
    wrong = read_vectors(unsaid_place, ["00001"])[0]
    assert float(one[:32] @ wrong[:32]) < 0.9, "without a manifest a folder's colours are taken as ordinary"
    assert evaluate(*unsaid, "--colour-as-published", "--out", tmp_path / "d.npz").code == 0
    np.testing.assert_allclose(read_vectors(tmp_path / "d.npz", ["00001"])[0], other, rtol=0, atol=1e-6)


def test_a_network_file_and_a_preset_say_the_same(evaluate: Invoke, data: Path, network: Path, tmp_path: Path) -> None:
    text = network_text("arcface", network)
    (tmp_path / "net.toml").write_text(text)
    options = ("--backend", "onnxruntime", "--threads", 1)
    assert (
        evaluate("embed", data, "--recogniser", tmp_path / "net.toml", *options, "--out", tmp_path / "a.npz").code == 0
    )
    assert evaluate("embed", data, "--recogniser", network, *ARCFACE, "--out", tmp_path / "b.npz").code == 0
    names = open_set(data).names
    np.testing.assert_array_equal(read_vectors(tmp_path / "a.npz", names), read_vectors(tmp_path / "b.npz", names))


@pytest.mark.parametrize("preset", CONVENTIONS)
def test_every_preset_feeds_what_it_says(tmp_path: Path, preset: str) -> None:
    """A network that gives back one pixel shows what it is fed."""
    nodes = [node("Slice", "x zero one axes", "cut"), node("Flatten", "cut")]
    ends = {"zero": np.array([0, 0]), "one": np.array([1, 1]), "axes": np.array([2, 3])}
    save_graph(tmp_path / "pixel.onnx", nodes, ends, ["batch", 3, 112, 112])
    picture = np.full((112, 112, 3), (10, 100, 200), np.uint8)
    opened = open_recogniser(tmp_path / "pixel.onnx", preset, flip=False, backend="onnxruntime", threads=1)
    try:
        colour, mean, std = CONVENTIONS[preset]
        levels = (10, 100, 200) if colour == "BGR" else (200, 100, 10)
        np.testing.assert_allclose(opened.embed([picture])[0], unit((np.array(levels) - mean) / std), atol=1e-6)
    finally:
        opened.close()
    assert read_network_text(tmp_path, network_text(preset, tmp_path / "pixel.onnx")).outputs[0].kind == "embedding"


def test_embeddings_on_another_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have_everything(monkeypatch)
    monkeypatch.setattr("fiqa_runtime.scoring.foreign.open_elsewhere", lambda *arguments, advice: None)
    nodes = [node("Slice", "x zero one axes", "cut"), node("Flatten", "cut")]
    ends = {"zero": np.array([0, 0]), "one": np.array([1, 1]), "axes": np.array([2, 3])}
    save_graph(tmp_path / "pixel.onnx", nodes, ends, ["batch", 3, 112, 112])
    opened = open_recogniser(tmp_path / "pixel.onnx", "arcface", device="intel-gpu")
    assert (opened.scorer.backend.name, opened.scorer.backend.info["device"]) == ("openvino", "intel-gpu")
    opened.close()


def read_network_text(folder: Path, text: str) -> NetworkFile:
    (folder / "net.toml").write_text(text)
    return read_network(folder / "net.toml")


def test_a_cut_run_goes_on_where_it_stopped(
    evaluate: Invoke, data: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "CHUNK", 5)
    seen: list[int] = []
    whole = Recogniser.embed

    def embed(self: Recogniser, crops: Sequence[Image]) -> object:
        if len(crops) == 5 and seen.count(5) == 2:
            raise KeyboardInterrupt
        seen.append(len(crops))
        return whole(self, crops)

    arguments = ("embed", data, "--recogniser", network, *ARCFACE, "--out", tmp_path / "e.npz")
    with monkeypatch.context() as patch:
        patch.setattr(Recogniser, "embed", embed)
        assert evaluate(*arguments).code == 130
    assert not (tmp_path / "e.npz").exists() and (tmp_path / "e.npz.part").is_dir()
    seen.clear()

    def count(self: Recogniser, crops: Sequence[Image]) -> object:
        seen.append(len(crops))
        return whole(self, crops)

    monkeypatch.setattr(Recogniser, "embed", count)
    assert evaluate(*arguments).code == 0
    assert [n for n in seen if n in (5, 6)] == [5] and seen[-1] == 1, "10 of 16 were there"
    assert not (tmp_path / "e.npz.part").exists()
    fresh = ("embed", data, "--recogniser", network, *ARCFACE, "--out", tmp_path / "f.npz")
    assert evaluate(*fresh).code == 0
    names = open_set(data).names
    np.testing.assert_array_equal(read_vectors(tmp_path / "e.npz", names), read_vectors(tmp_path / "f.npz", names))
    seen.clear()
    assert evaluate(*arguments).code == 0 and not seen, "what is whole is not embedded again"
    other = write_recogniser(tmp_path / "other.onnx", seed=1)
    refused = evaluate("embed", data, "--recogniser", other, *ARCFACE, "--out", tmp_path / "e.npz")
    assert refused.is_one_line("holds embeddings of another network or set")


def test_a_network_that_changed_its_mind_is_not_mixed_in(
    evaluate: Invoke, data: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "CHUNK", 5)
    whole = Recogniser.embed
    arguments = ("embed", data, "--recogniser", network, *ARCFACE, "--out", tmp_path / "e.npz")

    def stop(self: Recogniser, crops: Sequence[Image]) -> object:
        if len(crops) == 5:
            raise KeyboardInterrupt
        return whole(self, crops)

    def turned(self: Recogniser, crops: Sequence[Image]) -> object:
        return whole(self, crops)[:, ::-1]

    with monkeypatch.context() as patch:
        patch.setattr(Recogniser, "embed", stop)
        assert evaluate(*arguments).code == 130
    monkeypatch.setattr(Recogniser, "embed", turned)
    result = evaluate(*arguments)
    assert result.code == 3 and "gives other embeddings here" in result.err


def test_a_network_that_mixes_the_images_of_a_batch_is_told(evaluate: Invoke, data: Path, tmp_path: Path) -> None:
    nodes = [
        node("AveragePool", "x", "pooled", kernel_shape=[14, 14], strides=[14, 14]),
        node("Flatten", "pooled", "flat"),
        node("ReduceMean", "flat axis", "mean", keepdims=1),
        node("Sub", "flat mean", "apart"),
        node("Add", "apart one"),
    ]
    weights = {"axis": np.array([0]), "one": np.array([0.01], np.float32)}
    mixing = save_graph(tmp_path / "mixing.onnx", nodes, weights, ["batch", 3, 112, 112])
    result = evaluate("embed", data, "--recogniser", mixing, *ARCFACE)
    assert result.code == 3 and "where it comes with others; set --batch 1" in result.err
    alone = evaluate("embed", data, "--recogniser", mixing, *ARCFACE, "--batch", 1)
    assert alone.code == 0, alone.err


def test_an_image_that_went_is_told_and_the_others_go_on(evaluate: Invoke, data: Path, network: Path) -> None:
    (data / "images/00003.jpg").unlink()
    (data / "images/00005.jpg").write_bytes(b"no picture")
    result = evaluate("embed", data, "--recogniser", network, *ARCFACE)
    assert result.ends_in("2 images have no embedding, as 00003")
    folder = data.parent / "quality_embeddings/lfw_net"
    assert len(list(folder.glob("*.npy"))) == 14
    assert set(json.loads((folder / "embeddings.json").read_text())["refused"]) == {"00003", "00005"}


def test_the_embedding_of_ediffiqa(evaluate: Invoke, data: Path, seeded_engine: Path, tmp_path: Path) -> None:
    network = cut_embedding(seeded_engine, tmp_path)
    result = evaluate("embed", data, "--recogniser", network, *ARCFACE, "--out", tmp_path / "e.npz")
    assert result.code == 0, result.err
    found = read_vectors(tmp_path / "e.npz", open_set(data).names)
    assert found.shape == (16, 1024)
    np.testing.assert_allclose(np.linalg.norm(found.reshape(16, 2, 512), axis=2), 1, atol=1e-5)


@pytest.mark.parametrize("case", ["no card", "preset", "score", "no set", "two ways", "torch", "no file"])
def test_bad_input(evaluate: Invoke, data: Path, network: Path, seeded_engine: Path, tmp_path: Path, case: str) -> None:
    (tmp_path / "net.toml").write_text(network_text("arcface", network))
    (tmp_path / "torch.toml").write_text(
        (tmp_path / "net.toml").read_text().replace('onnx = "net.onnx"', 'torch = "a:b"')
    )
    cases: dict[str, tuple[tuple[object, ...], str]] = {
        "no card": ((data, "--recogniser", network), "has no card, so nothing says how it is fed; add --preset"),
        "preset": ((data, "--recogniser", network, "--preset", "facenet"), "unknown preset 'facenet'; choose arcface"),
        "score": ((data, "--recogniser", seeded_engine), "gives score (score) and no embedding"),
        "no set": ((tmp_path / "no", "--recogniser", network), "is not a prepared data set"),
        "two ways": ((data, "--recogniser", tmp_path / "net.toml", "--preset", "sface"), "leave --preset out"),
        "torch": ((data, "--recogniser", tmp_path / "torch.toml"), "has a torch reference; export it"),
        "no file": ((data, "--recogniser", "none.onnx", "--preset", "sface"), "no artefact at none.onnx"),
    }
    arguments, part = cases[case]
    assert evaluate("embed", *arguments).is_one_line(part)


def test_pictures_of_other_sizes_are_resized(evaluate: Invoke, network: Path, tmp_path: Path) -> None:
    for person in range(3):
        (tmp_path / f"mine/{person}").mkdir(parents=True)
        for index in range(2):
            picture = np.full((60 + person, 90, 3), 40 * person + 10 * index + 20, np.uint8)
            cv2.imwrite(str(tmp_path / f"mine/{person}/{index}.png"), picture)
    assert evaluate("prepare", tmp_path / "mine", "--out", tmp_path / "d").code == 0
    assert evaluate("embed", tmp_path / "d/mine", "--recogniser", network, *ARCFACE).code == 0
    assert (tmp_path / "d/quality_embeddings/mine_net/2/1.npy").is_file()
