"""A scorer on another device than the processor: the canaries judge it, and everything says where it is."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.errors import CardError, DependencyError, InputError, UnsupportedError, VerdictError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring import choice
from fiqa_runtime.scoring.choice import decide
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.trial import Trial

from tests.help.commands import Invoke
from tests.help.gpu.fake_devices import FakeSession, have_everything, lack_everything

CROPS = [seeded_image(index, 112, 112) for index in range(3)]


@pytest.fixture()
def asked(untried_backends: None, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every device is here, and backends are tried on it. Gives what ONNX Runtime's sessions are asked for."""
    return have_everything(monkeypatch)


class WrongSession(FakeSession):
    """A device whose arithmetic is wrong; the processor's is right."""

    def run(self, *arguments: Any) -> Any:
        results = super().run(*arguments)
        return results if self.names[0] == "CPUExecutionProvider" else [result + 1 for result in results]


def test_scores_are_those_of_the_processor(seeded_engine: Path, asked: list[dict[str, Any]]) -> None:
    with Scorer(seeded_engine, "onnxruntime", 1) as right, Scorer(seeded_engine, device="cuda") as scorer:
        np.testing.assert_allclose(scorer.score(CROPS), right.score(CROPS), rtol=0, atol=1e-5)
        assert scorer.backend.info["device"] == "cuda"
        assert "cuda" in repr(scorer)
        assert "cpu" not in repr(right)
        assert scorer.choice is not None
        assert {trial.backend for trial in scorer.choice.trials} == {"onnxruntime", "opencv"}, "OpenVINO has no CUDA"
        assert scorer.choice.lines()[0].startswith(f"backend {scorer.backend.name} on cuda: the fastest of 2 that")
        again = pickle.loads(pickle.dumps(scorer))
        assert (again.device, again.backend.name) == ("cuda", scorer.backend.name)


def test_a_named_backend_is_judged_too(
    seeded_engine: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Scorer(seeded_engine, "onnxruntime", device="cuda") as scorer:
        assert scorer.choice is not None
        assert scorer.choice.why == "named, and it gives the canaries' values"
    monkeypatch.setattr(ort, "InferenceSession", WrongSession)
    with pytest.raises(VerdictError, match=r"on tensorrt .* does not give its canaries \(onnxruntime: .*FAILED"):
        Scorer(seeded_engine, "onnxruntime", device="tensorrt")
    with Scorer(seeded_engine, device="cuda") as scorer:
        assert scorer.backend.name == "opencv", "what was remembered is not believed: the canaries were asked again"


def test_what_is_remembered_holds_for_its_device_alone(
    seeded_engine: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[str, str]] = []

    def tell(backend: str, artefact: Path, threads: int | None, precision: str, device: str) -> Trial:
        tried.append((backend, device))
        return Trial(backend, True, "right", 1.0 if backend == "opencv" else 2.0, "float32")

    monkeypatch.setattr(choice, "try_backend", tell)
    card = read_card(seeded_engine)
    for _ in range(2):
        found = {device: decide("auto", seeded_engine, card, 1, device=device) for device in ("cuda", "coreml")}
        assert {device: each.backend for device, each in found.items()} == {"cuda": "opencv", "coreml": "onnxruntime"}
        assert {device: each.device for device, each in found.items()} == {device: device for device in found}
    assert sorted(tried) == [("onnxruntime", "coreml"), ("onnxruntime", "cuda"), ("opencv", "cuda")]


def test_a_device_that_does_not_start_is_no_verdict(
    seeded_engine: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        choice, "try_backend", lambda name, *rest: Trial(name, False, "cannot start CUDA here; install it")
    )
    with pytest.raises(UnsupportedError, match="cannot start CUDA here; install it") as refused:
        Scorer(seeded_engine, "onnxruntime", device="cuda")
    assert refused.value.exit_code == 2


def test_refusals(seeded_engine: Path, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    card = read_card(seeded_engine)
    with pytest.raises(InputError, match=r"fast is for the processor and not for cuda; .* ediffiqa-t --fp16"):
        Scorer(seeded_engine, cpu_precision="fast", device="cuda")
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        Scorer(seeded_engine, device="gpu")
    with pytest.raises(CardError, match="no canaries"):
        decide("auto", seeded_engine, replace(card, canaries=()), device="cuda")


def test_nothing_falls_back_where_the_device_is_missing(seeded_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lack_everything(monkeypatch)
    for backend in ("auto", "onnxruntime"):
        with pytest.raises(DependencyError, match=r"no CUDAExecutionProvider here .* pip install 'onnxruntime-gpu"):
            Scorer(seeded_engine, backend, device="cuda")


def test_the_command(
    seeded_engine: Path, crops: list[Path], score: Invoke, asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    arguments = ("--engine", seeded_engine, "--backend", "onnxruntime", "--device", "cuda")
    done = score(*crops, "--aligned", *arguments, "--json", "-")
    assert json.loads(done.out)["backend"]["device"] == "cuda"
    assert "self-test passed" in score("--self-test", *arguments).out
    explained = score("--explain", *arguments).out
    assert "backend onnxruntime on cuda: named" in explained
    assert "device intel-npu: in openvino" in explained
    document = json.loads(score("--explain", *arguments, "--json", "-").out)
    assert document["device"] == "cuda"
    assert document["devices"]["cuda"] == {"onnxruntime": "", "opencv": ""}


def test_the_command_without_the_device(
    seeded_engine: Path, crops: list[Path], score: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    lack_everything(monkeypatch)
    for device, fix in (("cuda", "onnxruntime-gpu"), ("intel-npu", "intel-npu-driver"), ("directml", "on Windows")):
        done = score(*crops, "--aligned", "--engine", seeded_engine, "--device", device)
        assert done.is_one_line(f"nothing here runs on {device}", fix), done
    done = score(*crops, "--aligned", "--engine", seeded_engine, "--device", "gpu")
    assert done.is_one_line("unknown device 'gpu'; choose cpu, cuda"), done
