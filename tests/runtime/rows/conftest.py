"""Rows of photos and crops, good and bad."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import pyarrow as pa
import pytest
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.rows import FaceRows

from tests.help.samples.one_face import OneFace


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
    """A Ray of this process's own, on the loopback interface, which asks nobody and writes no token."""
    import ray

    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    folder = TemporaryDirectory(ignore_cleanup_errors=True)  # a short name, since sockets lie in it
    with pytest.MonkeyPatch.context() as patch, folder as place:
        for name, value in settings.items():
            patch.setenv(name, value)
        ray.init(
            address="local",
            num_cpus=4,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=200 << 20,
            _node_ip_address="127.0.0.1",
            _temp_dir=place,
        )
        try:
            yield ray
        finally:
            ray.shutdown()


def by_id(table: Any) -> Any:
    """Its rows in an order that does not depend on who was first."""
    return table.sort_by("id").replace_schema_metadata()
