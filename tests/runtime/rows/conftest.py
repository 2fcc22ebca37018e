"""Rows of photos and crops, good and bad."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa
import pytest
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.rows import FaceRows

from tests.help.samples.one_face import OneFace
from tests.help.servers.ray_clusters import one_node


def encoded(seed: int, side: int = 112) -> bytes:
    """A PNG."""
    return bytes(cv2.imencode(".png", seeded_image(seed, side, side))[1])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Twelve rows: bytes, a file, damage, a missing file, and nothing at all."""
    folder: Path = tmp_path_factory.mktemp("pictures")
    (folder / "a.png").write_bytes(encoded(40))
    rows = [{"id": f"row {seed}", "bytes": encoded(seed, 100 + 9 * seed), "path": None} for seed in range(8)]
    rows += [
        {"id": "a file", "bytes": None, "path": str(folder / "a.png")},
        {"id": "damaged", "bytes": encoded(1)[:99], "path": None},
        {"id": "missing", "bytes": None, "path": str(folder / "gone.png")},
        {"id": "neither", "bytes": None, "path": None},
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module")
def photo_rows(seeded_engine: Path) -> FaceRows:
    return FaceRows(seeded_engine, "onnxruntime", OneFace())


@pytest.fixture(scope="module")
def crop_rows(seeded_engine: Path) -> FaceRows:
    return FaceRows(seeded_engine, "onnxruntime", aligned=True)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray of this process's own."""
    with one_node() as module:
        yield module


def by_id(table: Any) -> Any:
    """Its rows in an order that does not depend on who was first."""
    return table.sort_by("id").replace_schema_metadata()
