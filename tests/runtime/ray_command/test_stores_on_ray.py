"""``fiqa-score --ray`` over an S3 store on the loopback interface, and killed on its way."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest

from tests.help.commands import Invoke
from tests.runtime.ray_command.conftest import SCORED, arguments
from tests.runtime.rows.conftest import encoded

pytest.importorskip("ray.data", reason="--ray needs the extra [ray]")
pytestmark = pytest.mark.slow
PATIENCE = 240


@dataclass(frozen=True)
class Store:
    query: str
    """Behind a URI: how the store is reached."""
    files: Any


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An S3 store with a bucket `faces`."""
    moto = pytest.importorskip("moto.server", reason="the store of this test is moto's")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        where = {"endpoint_override": f"{host}:{port}", "scheme": "http", "region": "us-east-1"}
        files = fs.S3FileSystem(**where, allow_bucket_creation=True)
        files.create_dir("faces")
        yield Store("?" + "&".join(f"{key}={value}" for key, value in where.items()), files)
    finally:
        server.stop()


def test_pictures_and_rows_lie_in_a_store(
    score: Invoke, seeded_engine: Path, crops: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in crops.iterdir():
        with store.files.open_output_stream(f"faces/in/{path.name}") as stream:
            stream.write(path.read_bytes())
    typed = arguments(seeded_engine, f"s3://faces/in{store.query}", f"s3://faces/out{store.query}", "local")
    done = score(*typed)
    assert done.ends_in("s3://faces/in/3.png is damaged, cut short or not an image"), done.err
    assert f"{SCORED} (1 is damaged, cut short or not an image)" in done.err
    assert store.query not in done.err
    rows = pq.read_table("faces/out", filesystem=store.files).to_pylist()
    names = ["0.png", "1.png", "2.png", "3.png", *(f"shard.tar/{n}.png" for n in range(4, 8))]
    names += [f"rows.parquet/{n}" for n in range(8, 12)]
    assert sorted(row["id"] for row in rows) == sorted(f"s3://faces/in/{name}" for name in names)
    assert sum(len(row["faces"]) for row in rows) == 11
    left = store.files.get_file_info(fs.FileSelector("faces", recursive=True))
    assert not [info.path for info in left if ".run" in info.path]

    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0.0)  # from now on keys are looked at
    refused = score(*typed)
    assert refused.is_one_line("s3://faces/in", "check its name and your rights"), refused.err


KILLED = """
import sys, time
import fiqa_runtime.ray_command.score_on_ray as ours

ours.BLOCK, ours.CROPS_IN_A_FILE = 1 << 19, 16  # so that many files are written of few crops
if sys.argv.pop(1) == "to be killed":
    ours._account = lambda *given: time.sleep(1e6)  # however late that comes
from fiqa_runtime.cli import main
main()
"""


def test_a_run_that_is_killed_goes_on(seeded_engine: Path, tmp_path: Path) -> None:
    crops, out, done = tmp_path / "crops", tmp_path / "out", tmp_path / "out.run/done"
    crops.mkdir()
    for n in range(600):
        (crops / f"{n}.png").write_bytes(encoded(n % 7))
    options = [*map(str, arguments(seeded_engine, crops, out, "local", "--actors", "1"))]
    typed = [sys.executable, "-c", KILLED, "to end", *options]
    with (tmp_path / "told").open("wb") as told:
        run = subprocess.Popen([*typed[:3], "to be killed", *options], stdout=told, stderr=told)
        deadline = time.monotonic() + PATIENCE
        while not any(done.glob("*.parquet")):
            assert run.poll() is None, (tmp_path / "told").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        run.kill()
        run.wait(PATIENCE)
    again = subprocess.run(typed, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert again.returncode == 2
    assert f"{out} is of a run that was cut; add --resume" in again.stderr
    last = subprocess.run([*typed, "--resume"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert last.returncode == 0, last.stderr
    assert "600 images: 600 scored, 0 without a face, 0 refused" in last.stderr
    rows = pq.read_table(out).to_pylist()
    assert sorted(row["id"] for row in rows) == sorted(str(path) for path in crops.iterdir())
    assert len({row["faces"][0]["quality"] for row in rows}) >= 7
    assert not (tmp_path / "out.run").exists()
