"""Annotated copies on disk: names, and maps beside the crops of networks that give them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fiqa_runtime.command.overlay_files import picture_places, write_pictures
from fiqa_runtime.command.results import ImageResult
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.drawing import map_picture
from fiqa_runtime.faces.face_quality import Face
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image

MAP = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
PHOTO = seeded_image(0, 120, 160)
FACE = Face(np.array([20, 30, 50, 60], np.float32), np.full((5, 2), 50, np.float32), 0.9, 0.5)


def scorer(has_map: bool) -> Any:
    return SimpleNamespace(has_map=has_map, map=lambda crops: np.stack([MAP] * len(crops)))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_photo_of_a_network_with_maps(tmp_path: Path) -> None:
    result = ImageResult(Path("a.jpg"), 160, 120, faces=(FACE, FACE))
    write_pictures(tmp_path / "sub/a.jpg", PHOTO, result, scorer(True), lambda photo, points: photo[:64, :64])
    assert names(tmp_path) == ["a.jpg.face0.png", "a.jpg.face1.png", "a.jpg.png"]
    pair = read_image(tmp_path / "sub/a.jpg.face0.png")
    np.testing.assert_array_equal(pair[:64, :64], PHOTO[:64, :64])
    np.testing.assert_array_equal(pair[:64, 64:], map_picture(MAP))
    np.testing.assert_array_equal(pair[64, [0, 127]], map_picture(np.array([[0.0, 1.0]]))[0])
    assert (read_image(tmp_path / "sub/a.jpg.png") != PHOTO).any()


def test_photo_of_a_network_without_maps(tmp_path: Path) -> None:
    result = ImageResult(Path("a.png"), 160, 120, faces=(FACE,))
    write_pictures(tmp_path / "a.png", PHOTO, result, scorer(False), None)
    assert names(tmp_path) == ["a.png"]


def test_ready_crop(tmp_path: Path) -> None:
    result = ImageResult(Path("a.png"), 160, 120, quality=0.5)
    write_pictures(tmp_path / "a.png", PHOTO, result, scorer(True), None)
    assert read_image(tmp_path / "a.png").shape[1:] == (320, 3)
    write_pictures(tmp_path / "b.png", PHOTO, result, scorer(False), None)
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), PHOTO)


def test_places_below_the_common_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub/deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "sub")
    files = [Path("../a.png"), Path("b.png"), tmp_path / "sub/deep/c.png"]
    assert picture_places(files, Path("out")) == {
        files[0]: Path("out/a.png"),
        files[1]: Path("out/sub/b.png"),
        files[2]: Path("out/sub/deep/c.png"),
    }


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        (["a.png"], "."),
        (["one/a.png", "two/b.png"], "one/.."),
        (["a.jpg", "a.jpg.png"], "."),
        (["a.jpg", "a.jpg.face0.png"], "."),
        (["link.png"], "out"),
    ],
)
def test_pictures_never_take_the_place_of_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "out"):
        Path(name).mkdir()
    Path("out/link.png").touch()
    Path("link.png").symlink_to("out/link.png")
    with pytest.raises(InputError, match=r"would overwrite images to score, as .*; name another folder"):
        picture_places([Path(name) for name in files], Path(folder))
    assert picture_places([Path(name) for name in files], Path("elsewhere"))


def test_photos_that_get_no_picture_of_that_name_are_safe(tmp_path: Path) -> None:
    assert picture_places([tmp_path / "a.jpg"], tmp_path) == {tmp_path / "a.jpg": tmp_path / "a.jpg"}


def test_a_picture_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    result = ImageResult(Path("a.png"), 160, 120, quality=0.5)
    (tmp_path / "file").touch()
    (tmp_path / "a.png").mkdir()
    for target in (tmp_path / "file/a.png", tmp_path / "a.png"):
        with pytest.raises(InputError, match=r"cannot write .*a.png: .*; choose a folder you may write to"):
            write_pictures(target, PHOTO, result, scorer(False), None)
    assert names(tmp_path) == ["file"]
