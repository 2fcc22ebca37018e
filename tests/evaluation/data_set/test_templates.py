"""Templates and embedding files: against plain loops, in blocks, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fiqa_evaluation.data_set import templates
from fiqa_evaluation.data_set.embedding_files import read_vectors, write_vectors
from fiqa_evaluation.data_set.identities import read_persons
from fiqa_evaluation.data_set.templates import read_templates
from fiqa_runtime.errors import InputError

from tests.help.evaluation.plain_evaluation import template_quality, template_vector

RNG = np.random.default_rng(12)


def lines() -> list[tuple[str, str, str]]:
    """Templates in no order, images in several templates, media of one image and of many."""
    rows = []
    for _ in range(400):
        template = int(RNG.integers(0, 40))
        rows.append((f"img{int(RNG.integers(0, 150))}", f"t{template}", f"m{template}_{int(RNG.integers(0, 4))}"))
    return list(dict.fromkeys(rows))


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_templates_equal_plain_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(templates, "BLOCK", block)
    rows = lines()
    path = tmp_path / "templates.txt"
    path.write_text("".join(f"{image}.jpg {template} {media}\n" for image, template, media in rows))
    read = read_templates(path)
    vectors = RNG.standard_normal((len(read.images), 24)).astype(np.float32)
    quality = RNG.random(len(read.images))
    by_name = dict(zip(read.images, vectors, strict=True))
    scores = dict(zip(read.images, quality.tolist(), strict=True))
    names = list(read.names)[::-2]
    chosen = read.subset(names)
    found, worst = chosen.embeddings(vectors), chosen.quality(quality)
    for place, name in enumerate(names):
        np.testing.assert_allclose(found[place], template_vector(rows, name, by_name), rtol=0, atol=1e-12)
        assert worst[place] == template_quality(rows, name, scores)
    assert chosen.quality(-quality, lower_is_better=True).tolist() == (-worst).tolist()


@pytest.mark.parametrize(
    ("text", "says"),
    [("a b\n", "line 1: write 'image template media'"), ("", "holds no templates"), ("a b c d\n", "line 1")],
)
def test_damaged_lists(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(InputError, match=says):
        read_templates(tmp_path / "t.txt")


def test_a_template_without_images_or_length(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a.jpg 1 1\nb.jpg 1 2\n")
    read = read_templates(tmp_path / "t.txt")
    with pytest.raises(InputError, match="1 of 2 templates of the pairs have no image, as '2'"):
        read.subset(["1", "2"])
    with pytest.raises(InputError, match="the embedding of template '1' is zero"):
        read.embeddings(np.array([[1.0, 0], [-1.0, 0]]))


@pytest.mark.parametrize("form", ["folder", "e.npz", "e.parquet"])
def test_embeddings_come_back_from_every_form(tmp_path: Path, form: str) -> None:
    if form.endswith("parquet"):
        pytest.importorskip("pyarrow")
    names = ["a/1", "b", "c.d"]
    vectors = RNG.standard_normal((3, 5)).astype(np.float32)
    path = tmp_path / form
    write_vectors(path, names, vectors)
    np.testing.assert_array_equal(read_vectors(path, names), vectors)
    np.testing.assert_array_equal(read_vectors(path, ["c.d", "a/1"]), vectors[[2, 0]])
    with pytest.raises(InputError, match="gone"):
        read_vectors(path, ["b", "gone"])


def test_archives_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    np.savez(path, names=np.array(["a", "b"]), embeddings=np.array([[1.0, 2], [0, 0]]))
    with pytest.raises(InputError, match=r"the embedding of 'b' in .* is zero or not finite"):
        read_vectors(path, ["a", "b"])
    np.savez(path, names=np.array(["a", "a"]), embeddings=np.ones((2, 2)))
    with pytest.raises(InputError, match="names an image twice"):
        read_vectors(path, ["a"])
    np.savez(path, names=np.array(["a"]), embeddings=np.ones((2, 2)))
    with pytest.raises(InputError, match="one vector of numbers per name"):
        read_vectors(path, ["a"])
    np.savez(path, names=np.array(["a"], object), embeddings=np.ones((1, 2)))
    with pytest.raises(InputError, match="holds no names and embeddings"):
        read_vectors(path, ["a"])
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"e\.npz"):
        read_vectors(path, ["a"])
    with pytest.raises(InputError, match="no folder"):
        read_vectors(tmp_path / "none", ["a"])


def test_persons(tmp_path: Path) -> None:
    path = tmp_path / "persons.txt"
    path.write_text("a x\nb y\nc x\n")
    assert read_persons(path, ["a", "b", "c"]).tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="lacks 1 of 2 images, as 'd'"):
        read_persons(path, ["a", "d"])
    path.write_text("a x\na y\n")
    with pytest.raises(InputError, match="line 2: a is two persons"):
        read_persons(path, ["a"])
    path.write_text("a\n")
    with pytest.raises(InputError, match="line 1: write 'name person'"):
        read_persons(path, ["a"])
