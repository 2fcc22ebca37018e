"""The Open Inference Protocol, as NVIDIA's client speaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_export.serving.triton import triton_config
from fiqa_runtime.faces.portrait_quality import PortraitQuality
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.canaries import tolerance
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.serve.service import Service
from fiqa_runtime.serve.tensors import signature_of

from tests.help.samples.map_engines import SIDE, map_engines
from tests.help.samples.one_face import OneFace
from tests.help.samples.portrait_engine import portrait_engine
from tests.help.servers.served import PATIENT, ask, served, service_for

http = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
MODEL = "ediffiqa-t-fp32"


def opened(place: str) -> Any:
    return http.InferenceServerClient(place, connection_timeout=300, network_timeout=300)


@pytest.fixture(scope="module")
def client(place: str) -> Iterator[Any]:
    found = opened(place)
    yield found
    found.close()


def crops_of(count: int, side: int = 112) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.stack([seeded_image(index, side, side) for index in range(count)])


def tensor(values: Any, name: str = "input", kind: str = "UINT8", binary: bool = True) -> Any:
    found = http.InferInput(name, list(values.shape), kind)
    found.set_data_from_numpy(values, binary_data=binary)
    return found


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready(MODEL) and client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready("another") and not client.is_model_ready(MODEL, "2")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    found = client.get_model_metadata(MODEL)
    assert found["name"] == MODEL and found["versions"] == ["1"]
    assert found["inputs"] == [{"name": "input", "datatype": "UINT8", "shape": [-1, 112, 112, 3]}]
    assert found["outputs"] == [{"name": "score", "datatype": "FP32", "shape": [-1, 1]}]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("count", [1, 5, 32])
def test_scores_are_those_of_the_scorer(client: Any, scorer: Scorer, count: int, binary: bool) -> None:
    """A request that nobody shares its batch with is the very call that the Scorer makes, so every bit is the same."""
    crops = crops_of(count)
    wanted = [http.InferRequestedOutput("score", binary_data=binary)]
    answer = client.infer(MODEL, [tensor(crops, binary=binary)], outputs=wanted, request_id="a7")
    assert answer.get_response()["id"] == "a7" and answer.get_response()["model_name"] == MODEL
    assert answer.as_numpy("score").shape == (count, 1)
    np.testing.assert_array_equal(answer.as_numpy("score")[:, 0], scorer.score(list(crops)))


def test_scores_of_shared_batches_are_within_the_tolerance_of_the_canaries(place: str, scorer: Scorer) -> None:
    crops = crops_of(12)
    single = np.concatenate([scorer.score([crop]) for crop in crops])
    client = http.InferenceServerClient(place, concurrency=12, connection_timeout=300, network_timeout=300)
    asked = [client.async_infer(MODEL, [tensor(crops[index : index + 1])]) for index in range(len(crops))]
    found = np.array([each.get_result().as_numpy("score")[0, 0] for each in asked])
    client.close()
    assert np.abs(found - single).max() <= tolerance(scorer.card)["score"]


def test_without_asked_outputs_all_come_in_binary(client: Any, scorer: Scorer) -> None:
    crops = crops_of(2)
    answer = client.infer(MODEL, [tensor(crops)], model_version="1")
    assert answer.get_output("score")["parameters"]["binary_data_size"] == 8
    np.testing.assert_array_equal(answer.as_numpy("score")[:, 0], scorer.score(list(crops)))


def test_json_may_be_nested_as_the_shape_says(place: str, scorer: Scorer) -> None:
    crops = crops_of(2)
    entry = {"name": "input", "datatype": "UINT8", "shape": list(crops.shape), "data": crops.tolist()}
    answer = ask(place, f"/v2/models/{MODEL}/infer", json.dumps({"inputs": [entry]}).encode())
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["outputs"][0]["data"] == scorer.score(list(crops)).tolist()


@pytest.mark.parametrize(
    ("said", "values", "how", "more"),
    [
        ("a batch of 33 was sent; send 1 to 32", np.repeat(crops_of(1), 33, 0), {}, {}),
        ("input 'input' is FP32; send UINT8", crops_of(1).astype(np.float32), {"kind": "FP32"}, {}),
        (r"shape \[1,64,64,3\]; send \[-1,112,112,3\]", crops_of(1, 64), {}, {}),
        ("takes 'input', each once, and not 'image'", crops_of(1), {"name": "image"}, {}),
        ("gives 'score', each once, and not 'map'", crops_of(1), {}, {"outputs": [http.InferRequestedOutput("map")]}),
        ("bodies are not decompressed here", crops_of(1), {}, {"request_compression_algorithm": "gzip"}),
        ("there is no such model; here is ediffiqa-t-fp32", crops_of(1), {}, {"model_version": "2"}),
    ],
)
def test_what_is_refused_is_said_in_words(client: Any, said: str, values: Any, how: Any, more: Any) -> None:
    with pytest.raises(Exception, match=said):
        client.infer(MODEL, [tensor(values, **how)], **more)


def test_maps_come_too(tmp_path: Path) -> None:
    engine = map_engines(tmp_path)["fp32"]
    crops = crops_of(3, SIDE)
    with Scorer(engine, "onnxruntime", threads=1) as scorer, service_for(scorer) as service, served(service) as place:
        client = opened(place)
        answer = client.infer(service.signature.name, [tensor(crops)])
        client.close()
        np.testing.assert_array_equal(answer.as_numpy("map")[:, 0], scorer.map(list(crops)))
        np.testing.assert_array_equal(answer.as_numpy("score")[:, 0], scorer.score(list(crops)))


def test_landmark_vectors_of_networks_that_take_them(tmp_path: Path) -> None:
    engine = portrait_engine("dsl-fiqa", tmp_path)
    crops = crops_of(2, 384)
    vectors = np.random.default_rng(0).random((2, 500), np.float32)
    damaged = np.where(np.arange(500) == 7, np.nan, vectors).astype(np.float32)
    with Scorer(engine, "onnxruntime", threads=1) as scorer:
        service = Service(scorer, PortraitQuality(scorer, OneFace(), (scorer, scorer)), PATIENT)
        service.ready = True
        with served(service) as place:
            client = opened(place)
            given = [tensor(crops), tensor(vectors, "landmarks", "FP32")]
            answer = client.infer("dsl-fiqa-fp32", given)
            with pytest.raises(Exception, match="lacks the input 'landmarks'"):
                client.infer("dsl-fiqa-fp32", given[:1])
            with pytest.raises(Exception, match="not finite numbers"):
                client.infer("dsl-fiqa-fp32", [tensor(crops), tensor(damaged, "landmarks", "FP32")])
            client.close()
        service.close()
        np.testing.assert_array_equal(answer.as_numpy("score"), scorer.outputs(list(crops), vectors)["score"])


def test_names_are_those_of_the_triton_repository(scorer: Scorer) -> None:
    """A client of an artefact exported with --raw-input may turn to this server instead of Triton as it is."""
    card = replace(scorer.card, input=replace(scorer.card.input, raw=True))
    signature = signature_of(scorer.card)
    config = triton_config("any.onnx", card)
    assert f'name: "{signature.name}"' in config and f"max_batch_size: {signature.max_batch}" in config
    for entry, kind in ((signature.inputs[0], "TYPE_UINT8"), (signature.outputs[0], "TYPE_FP32")):
        dims = ", ".join(map(str, entry.shape[1:]))
        assert f'{{ name: "{entry.name}" data_type: {kind} dims: [ {dims} ] }}' in config
