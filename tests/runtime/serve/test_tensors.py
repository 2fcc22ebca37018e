"""Requests as bytes: what is read, and what is refused in words, whatever they hold."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from fiqa_runtime.serve.problems import ProblemError
from fiqa_runtime.serve.tensors import Signature, Tensor, read_request, write_answer
from hypothesis import given
from hypothesis import strategies as st

SIGNATURE = Signature(
    "net-fp32",
    (Tensor("input", "UINT8", (-1, 2, 2, 3)), Tensor("landmarks", "FP32", (-1, 2))),
    (Tensor("score", "FP32", (-1, 1)), Tensor("map", "FP32", (-1, 1, 2, 2))),
    4,
)
PIXELS = list(range(12))


def entry(**changes: Any) -> dict[str, Any]:
    given = {"name": "input", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": PIXELS, **changes}
    return {key: value for key, value in given.items() if value is not None}


def vector(**changes: Any) -> dict[str, Any]:
    return entry(**{"name": "landmarks", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1], **changes})


def asked(*inputs: object, **more: object) -> bytes:
    return json.dumps({"inputs": list(inputs), **more}).encode()


def test_json_flat_and_nested() -> None:
    for data in (PIXELS, np.arange(12).reshape(1, 2, 2, 3).tolist()):
        found = read_request(asked(entry(data=data), vector(), id="7"), None, SIGNATURE)
        assert found.id == "7" and found.outputs == {"score": False, "map": False}
        np.testing.assert_array_equal(found.crops, np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3))
        assert found.vectors is not None and found.vectors.dtype == np.float32


def test_bytes_follow_in_the_order_of_the_inputs() -> None:
    values, pixels = np.array([[1.5, -2]], "<f4"), np.arange(12, dtype=np.uint8)
    text = asked(
        vector(data=None, parameters={"binary_data_size": 8}),
        entry(data=None, parameters={"binary_data_size": 12}),
        parameters={"binary_data_output": True},
        outputs=[{"name": "map"}, {"name": "score", "parameters": {"binary_data": False}}],
    )
    found = read_request(text + values.tobytes() + pixels.tobytes(), str(len(text)), SIGNATURE)
    np.testing.assert_array_equal(found.crops.ravel(), pixels)
    assert found.vectors is not None and found.vectors.tolist() == values.tolist()
    assert found.outputs == {"map": True, "score": False}


def test_answers_say_where_the_bytes_are() -> None:
    found = read_request(
        asked(entry(), vector(), outputs=[{"name": "score", "parameters": {"binary_data": True}}, {"name": "map"}]),
        None,
        SIGNATURE,
    )
    values = {"score": np.array([[0.1]], np.float32), "map": np.full((1, 1, 2, 2), 0.25, np.float32)}
    body, size = write_answer(found, values, SIGNATURE)
    assert size is not None and body[size:] == values["score"].tobytes()
    told = json.loads(body[:size])
    assert [each["name"] for each in told["outputs"]] == ["score", "map"] and "id" not in told
    assert told["outputs"][1]["data"] == [0.25] * 4 and told["outputs"][0]["parameters"] == {"binary_data_size": 4}


BINARY = {"binary_data_size": 12}
WRONG: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"\xff\xfe{", "is not JSON"),
    "no object": (b"[1]", "is not a JSON object"),
    "NaN": (b'{"inputs": NaN}', "is not JSON"),
    "deep": (b"[" * 200_000, "is not JSON"),
    "digits": (b'{"inputs": ' + b"9" * 10_000 + b"}", "is not JSON"),
    "no inputs": (b"{}", "no list of inputs"),
    "inputs as text": (b'{"inputs": "input"}', "no list of inputs"),
    "input as a number": (asked(7), "is not a table"),
    "no name": (asked(entry(name=None)), "inputs.name is missing"),
    "a file": (asked(entry(name="../../etc/passwd"), vector()), "takes 'input' and 'landmarks'"),
    "twice": (asked(entry(), entry()), "each once"),
    "missing": (asked(entry()), "lacks the input 'landmarks'"),
    "unknown key": (asked(entry(file="/etc/passwd"), vector()), "inputs.file is not known"),
    "shape as text": (asked(entry(shape="1,2,2,3")), "inputs.shape is not a list"),
    "broken shape": (asked(entry(shape=[1, 2, 2.5, 3])), "not a whole number"),
    "flat shape": (asked(entry(shape=[12])), "send [-1,2,2,3]"),
    "no crops": (asked(entry(shape=[0, 2, 2, 3], data=[])), "a batch of 0"),
    "minus": (asked(entry(shape=[-1, 2, 2, 3])), "a batch of -1"),
    "many": (asked(entry(shape=[5, 2, 2, 3])), "send 1 to 4"),
    "endless": (asked(entry(shape=[10**4000, 2, 2, 3])), "a batch of 1000"),
    "datatype": (asked(entry(datatype="BYTES")), "is BYTES; send UINT8"),
    "few": (asked(entry(data=[1]), vector()), "are not 12 whole numbers from 0 to 255"),
    "none": (asked(entry(data=None), vector()), "are not 12 whole numbers"),
    "above": (asked(entry(data=[256] * 12), vector()), "are not 12 whole"),
    "below": (asked(entry(data=[-1] * 12), vector()), "are not 12 whole"),
    "fractions": (asked(entry(data=[0.5] * 12), vector()), "are not 12 whole"),
    "truth": (asked(entry(data=[True] * 12), vector()), "are not 12 whole"),
    "texts": (asked(entry(data=["x" * 100_000, *PIXELS[1:]]), vector()), "are not 12 whole"),
    "ragged": (asked(entry(data=[[[1, 2, 3], [4, 5]], [[6]]]), vector()), "are not 12 whole"),
    "half nested": (asked(entry(data=[PIXELS]), vector()), "are not 12 whole"),
    "large": (asked(entry(), vector(data=[1e300, 0])), "not finite"),
    "larger": (asked(entry(), vector(data=[10**400, 0])), "not finite"),
    "batches": (asked(entry(), vector(shape=[2, 2], data=[1, 2, 3, 4])), "different sizes"),
    "both": (asked(entry(parameters=BINARY), vector()), "comes twice"),
    "bytes lack": (asked(entry(data=None, parameters=BINARY), vector()), "has 12 bytes, and 0 came"),
    "wrong size": (asked(entry(data=None, parameters={"binary_data_size": 11}), vector()), "its shape needs 12"),
    "shared memory": (asked(entry(data=None, parameters={"shared_memory_region": "x"}), vector()), "are not 12"),
    "outputs": (asked(entry(), vector(), outputs=[]), "not a list of some"),
    "output": (asked(entry(), vector(), outputs=[{"name": "x"}]), "gives 'map' and 'score'"),
    "classes": (
        asked(entry(), vector(), outputs=[{"name": "score", "parameters": {"classification": 2}}]),
        "scores are no classes",
    ),
    "id": (asked(entry(), vector(), id=7), "id of the request is not text"),
    "parameters": (asked(entry(), vector(), parameters=[]), "parameters of the request"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests_are_refused_in_words(case: str) -> None:
    body, said = WRONG[case]
    with pytest.raises(ProblemError) as error:
        read_request(body, None, SIGNATURE)
    assert error.value.status == 400 and said in error.value.detail and len(error.value.detail) <= 310


@pytest.mark.parametrize("length", ["", "-1", "0", "9999", "1e3", "٣", "9" * 5000])
def test_wrong_lengths_of_the_json(length: str) -> None:
    with pytest.raises(ProblemError, match="Inference-Header-Content-Length"):
        read_request(asked(entry(), vector()), length, SIGNATURE)


def test_bytes_that_nobody_named() -> None:
    text = asked(entry(), vector())
    with pytest.raises(ProblemError, match="5 bytes follow"):
        read_request(text + b"12345", str(len(text)), SIGNATURE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("name", "datatype", "shape", "data", "parameters")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), JSON, JSON, st.binary(max_size=20))
def test_any_other_request_is_read_or_refused(changes: dict[str, Any], more: Any, outputs: Any, tail: bytes) -> None:
    text = json.dumps({"inputs": [{**entry(), **changes}, vector()], "parameters": more, "outputs": outputs}).encode()
    try:
        found = read_request(text + tail, str(len(text)), SIGNATURE)
    except ProblemError as error:
        assert json.loads(bytes(error.response().body))["status"] == 400
    else:
        assert found.crops.shape == (1, 2, 2, 3) and not tail


@given(st.binary(max_size=60), st.none() | st.text(max_size=4))
def test_any_bytes_are_refused(body: bytes, length: str | None) -> None:
    with pytest.raises(ProblemError):
        read_request(body, length, SIGNATURE)
