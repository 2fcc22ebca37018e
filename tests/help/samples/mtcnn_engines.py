"""MTCNN's artefacts with the published weights, which the package `mtcnn` brings, and a photo that a package brings."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

NAMES = ("mtcnn-p", "mtcnn-r", "mtcnn-o")


def export_mtcnn(folder: Path) -> Path:
    """The three artefacts in `folder`, which is returned; skips where the package is not installed."""
    pytest.importorskip("lz4")
    if find_spec("mtcnn") is None:
        pytest.skip("the package mtcnn, which brings the weights, is not installed")
    from fiqa_export.pipeline import export

    for name in NAMES:
        export(name, None, folder)
    return folder


def astronaut() -> Path:
    """A photo in the public domain with one face, 512 x 512; skips where scikit-image is not installed."""
    skimage = find_spec("skimage")
    if skimage is None or skimage.origin is None:
        pytest.skip("scikit-image, which brings the photo, is not installed")
    return Path(skimage.origin).parent / "data" / "astronaut.png"
