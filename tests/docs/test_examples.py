"""The examples run: programs with a detector that needs no file, the notebook from top to bottom."""

from __future__ import annotations

import configparser
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import fiqa_runtime
import numpy as np
import pytest
from fiqa_export.pipeline import Options, export
from fiqa_runtime import serve_cli, watch_cli
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from typer.main import get_command

from tests.help.places import EXAMPLES
from tests.help.samples.one_face import OneFace

Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs an example with arguments, its detector exchanged for one that needs no file; gives what it printed."""
    monkeypatch.setattr(fiqa_runtime, "Detector", OneFace)

    def run_example(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run_example


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), seeded_image(0, 200, 160))
    return path


def test_a_run_is_planned(run: Run) -> None:
    printed = run("plan_a_run.py", "1e9", "3.6", "--machines", "10", "--cores", "10", "--days-between-failures", "1e6")
    assert printed.splitlines()[0] == "1,000 core hours; 10.0 hours of work for each of 10 machines"
    assert printed.count("10.0 hours, 95 %: 10.0") == 2, "nothing fails"
    module = runpy.run_path(str(EXAMPLES / "plan_a_run.py"))
    share, between, restart = 8.0, 10.0, 0.5
    one = (share, 1, between, restart, np.random.default_rng(0))
    assert module["hours_with_resume"](*one).mean() == pytest.approx(share + share / between * restart, rel=0.05)
    expected = (np.exp(share / between) - 1) * (between + restart)
    assert module["hours_without"](*one).mean() == pytest.approx(expected, rel=0.1)


def test_score_photos(run: Run, seeded_engine: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torn = photo.with_name("torn.png")
    torn.write_bytes(b"no picture")
    printed = run("score_photos.py", seeded_engine, torn, photo)
    assert printed.startswith(f"{photo}  ") and printed.endswith("0,0 160 x 200\n")


def test_overlay_is_green_above_the_threshold_and_red_below(
    run: Run, seeded_engine: Path, photo: Path, tmp_path: Path
) -> None:
    corners = {}
    for threshold in (-1000, 1000):
        assert "1 faces in" in run("overlay.py", seeded_engine, photo, tmp_path / "out.png", threshold)
        corners[threshold] = fiqa_runtime.read_image(tmp_path / "out.png")[100, 0].tolist()
    assert corners[-1000] == [80, 170, 40] and corners[1000] == [50, 50, 220]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten frames, ten a second."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 200))
    for _ in range(10):
        writer.write(seeded_image(0, 200, 160))
    writer.release()
    return path


def test_the_gate_says_each_person_once(run: Run, seeded_engine: Path, clip: Path) -> None:
    printed = run("webcam_gate.py", seeded_engine, clip, -1000)
    assert re.fullmatch(r"person 0 may pass, quality -?[0-9.]+ after 0\.00 s\n", printed)
    assert run("webcam_gate.py", seeded_engine, clip, 1000) == ""


def test_best_shots_from_a_loop(run: Run, seeded_engine: Path, clip: Path, tmp_path: Path) -> None:
    printed = run("best_shot.py", seeded_engine, clip, tmp_path / "shots")
    assert printed.startswith(f"{tmp_path / 'shots' / 'person-0.png'}  quality ")
    assert fiqa_runtime.read_image(tmp_path / "shots" / "person-0.png").shape == (200, 160, 3)


def options_of(words: list[str]) -> set[str]:
    return {word for word in words if word.startswith("--")}


@pytest.mark.parametrize(
    ("folder", "name", "app"),
    [("live", "watch", watch_cli.app), ("serve", "serve", serve_cli.app)],
    ids=["watch", "serve"],
)
def test_service_and_container_type_options_that_there_are(folder: str, name: str, app: Any) -> None:
    yaml = pytest.importorskip("yaml")
    known = {option for parameter in get_command(app).params for option in parameter.opts}
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # keys of systemd have capitals
    unit.read(EXAMPLES / folder / f"fiqa-{name}.service")
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == f"fiqa-{name}" and options_of(words) <= known
    service = yaml.safe_load((EXAMPLES / folder / "compose.yaml").read_text("utf-8"))["services"][name]
    assert service["entrypoint"] == [f"fiqa-{name}"] and options_of(service["command"]) <= known
    assert (EXAMPLES / folder / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


@pytest.fixture
def triton(tmp_path: Path) -> Iterator[str]:
    """The address of a server that speaks Triton's protocol and scores with a file exported with --raw-input."""
    grpc = pytest.importorskip("grpc", reason="tritonclient[grpc] is not installed")
    messages = pytest.importorskip("tritonclient.grpc.service_pb2")
    services = pytest.importorskip("tritonclient.grpc.service_pb2_grpc")
    exported = export("ediffiqa-t", "seeded", tmp_path / "models", Options(raw_input=True))

    class Server(services.GRPCInferenceServiceServicer):  # type: ignore[misc, name-defined]  # it has no types
        def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
            assert request.model_name == "ediffiqa-t-fp32"
            (tensor,) = request.inputs
            crops = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(list(tensor.shape))
            with Scorer(exported.path, "onnxruntime", threads=1) as scorer:
                assert (tensor.name, tensor.datatype) == (scorer.card.input.name, "UINT8")
                scores = scorer.score(list(crops))
            output = messages.ModelInferResponse.InferOutputTensor(name="score", datatype="FP32", shape=[len(crops), 1])
            return messages.ModelInferResponse(outputs=[output], raw_output_contents=[scores.tobytes()])

    server = grpc.server(ThreadPoolExecutor(1))
    services.add_GRPCInferenceServiceServicer_to_server(Server(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


def test_the_triton_client_gets_the_scores_of_the_scorer(
    run: Run, triton: str, seeded_engine: Path, photo: Path
) -> None:
    printed = run("triton_client.py", triton, "ediffiqa-t-fp32", photo)
    with Scorer(seeded_engine, "onnxruntime", threads=1) as scorer:
        (face,) = fiqa_runtime.FaceQuality(scorer, OneFace()).assess(fiqa_runtime.read_image(photo))
    assert printed.split() == [str(photo), "face", "0", f"{face.quality:.4f}"]


def test_the_notebook_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    notebook = nbformat.read(EXAMPLES / "edc.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "the notebook is kept without its outputs"
    folder = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    texts = [output.text for cell in notebook.cells for output in cell.get("outputs", ()) if "text" in output]
    good, random = (line.split() for line in "".join(texts).strip().splitlines())
    assert float(good[-1]) < 0.7 * float(good[-4])
    assert float(random[-1]) > 0.9 * float(random[-4])


def test_every_example_is_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file() and path.name != "README.md"}
    assert not [name for name in files if f"`{name}`" not in listed]
