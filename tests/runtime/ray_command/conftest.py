"""Ready crops in files of every kind, and ``fiqa-score --ray`` over them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.help.servers.ray_clusters import quiet_ray
from tests.runtime.rows.conftest import encoded

SCORED = "12 images: 11 scored, 0 without a face, 1 refused"
"""What becomes of the :func:`crops`."""


def arguments(engine: Path, crops: object, out: object, *more: object) -> tuple[object, ...]:
    """Of a run over `crops`; `more` begins with the address."""
    return (crops, "--engine", engine, "--aligned", "--backend", "onnxruntime", "--parquet", out, "--ray", *more)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Whatever Ray is started by a test asks nobody and keeps its files to itself."""
    with quiet_ray():
        yield


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Twelve crops: loose ones, one of which is damaged, in a tar file and in a Parquet file."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for n in range(4):
        (folder / f"{n}.png").write_bytes(encoded(n)[: 99 if n == 3 else None])
    (folder / "notes.txt").touch()
    with tarfile.open(folder / "shard.tar", "w") as tar:
        for n in range(4, 8):
            member = tarfile.TarInfo(f"{n}.png")
            member.size = len(encoded(n))
            tar.addfile(member, io.BytesIO(encoded(n)))
    numbers = range(8, 12)
    pq.write_table(pa.table({"id": [*map(str, numbers)], "bytes": [*map(encoded, numbers)]}), folder / "rows.parquet")
    return folder
