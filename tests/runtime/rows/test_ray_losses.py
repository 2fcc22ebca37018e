"""Ray Data where a driver or a node is lost half-way: every row comes out once."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import fiqa_runtime.rows.ray as ours
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.rows import FaceRows, row_schema

from tests.help.samples.one_face import OneFace
from tests.help.servers.ray_clusters import one_node, two_nodes
from tests.runtime.rows.conftest import by_id, encoded

PATIENCE = 180


class WaitsHalfWay:
    """Finds one face; from the tenth picture on only once the file `gate` is there. Notes on which node it was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def detect(self, image: Image) -> list[Detection]:
        import ray

        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "no node"
        (self.folder / "seen" / f"{node} {time.monotonic_ns()}").touch()
        if len(list((self.folder / "seen").iterdir())) > 9:
            wait_for((self.folder / "gate").exists)
        return OneFace().detect(image)


def wait_for(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


DRIVER = """
import pickle, sys
import fiqa_runtime.rows.ray as ours
import ray
from ray.data.checkpoint import CheckpointConfig

address, folder = sys.argv[1:]
ours.AT_ONCE = 2
ray.init(address=address, log_to_driver=False)
context = ray.data.DataContext.get_current()
context.target_max_block_size = 1 << 16  # two pictures, so that there are several blocks of so few
context.checkpoint_config = CheckpointConfig("id", folder + "/done", delete_checkpoint_on_success=False)
dataset = ray.data.read_parquet(folder + "/in")
rows = pickle.loads(open(folder + "/rows", "rb").read())
ours.score_dataset(dataset, rows, actors=1).write_parquet(folder + "/out")
"""


@pytest.fixture
def folder(tmp_path: Path, seeded_engine: Path) -> Path:
    """Four files of four pictures, and the rows that score them."""
    (tmp_path / "in").mkdir()
    (tmp_path / "seen").mkdir()
    for part in range(4):
        pictures = {"id": [f"{part}{each}" for each in range(4)], "bytes": [encoded(each) for each in range(4)]}
        pq.write_table(pa.table(pictures), tmp_path / "in" / f"{part}.parquet")
    rows = FaceRows(seeded_engine, "onnxruntime", WaitsHalfWay(tmp_path))
    (tmp_path / "rows").write_bytes(pickle.dumps(rows))
    return tmp_path


def expected(folder: Path) -> Any:
    """What one process finds."""
    (folder / "gate").touch()
    return by_id(pickle.loads((folder / "rows").read_bytes())(pq.read_table(folder / "in")))


@pytest.mark.long  # the test of `fiqa-score --ray` that is killed is of the same kind
def test_a_driver_that_is_killed_and_started_again(folder: Path) -> None:
    with one_node() as ray:
        command = [sys.executable, "-c", DRIVER, ray.get_runtime_context().gcs_address, str(folder)]
        with (folder / "told").open("wb") as told:
            driver = subprocess.Popen(command, stderr=told, stdout=told)
            try:
                wait_for(lambda: any(folder.glob("done/*")) or driver.poll() is not None)
                assert driver.poll() is None, (folder / "told").read_text()
            finally:
                driver.kill()
                driver.wait(PATIENCE)
        before = sum(pq.read_table(path).num_rows for path in (folder / "done").glob("*.parquet"))
        assert 0 < before <= 8
        rest = expected(folder)
        again = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
        assert again.returncode == 0, again.stderr[-2000:]
    assert by_id(pq.read_table(folder / "out", schema=row_schema())).equals(rest)


@pytest.mark.slow
def test_a_node_that_is_lost(folder: Path) -> None:
    with two_nodes() as (ray, cluster, second), pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours, "AT_ONCE", 2)
        patch.setattr(ray.data.DataContext.get_current(), "target_max_block_size", 1 << 16)
        rows = pickle.loads((folder / "rows").read_bytes())
        dataset = ours.score_dataset(ray.data.read_parquet(str(folder / "in")), rows, actors=3)
        writing = Thread(target=dataset.write_parquet, args=(str(folder / "out"),))
        writing.start()
        try:
            wait_for(lambda: any((folder / "seen").glob(f"{second.node_id} *")))
            cluster.remove_node(second, allow_graceful=False)
        finally:
            rest = expected(folder)
            writing.join(PATIENCE)
        assert not writing.is_alive()
    assert by_id(pq.read_table(folder / "out", schema=row_schema())).equals(rest)
