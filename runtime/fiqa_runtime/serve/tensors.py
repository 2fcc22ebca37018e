"""Requests and answers of the Open Inference Protocol, version 2: tensors as JSON, or as bytes behind it.

Sources: the protocol's specification by KServe ("Open Inference Protocol", REST), and its binary tensor data extension.
Nothing of a request is used as a name of a file or as an address.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.crop_sampling import SLOTS
from fiqa_runtime.serve.problems import bad
from fiqa_runtime.system.schema import from_plain

LANDMARKS = "landmarks"
"""Second input of networks that take the landmark vector of each crop."""
KINDS: dict[str, np.dtype[Any]] = {"UINT8": np.dtype(np.uint8), "FP32": np.dtype("<f4")}
"""By the protocol's name: the type of the values of a tensor, as its bytes have it."""
BINARY_SIZE = "binary_data_size"


@dataclass(frozen=True)
class Tensor:
    """What a model takes or gives: -1 stands for a number that a request may choose."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """The entry of the model's metadata."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Signature:
    """What the model of a card takes and gives here: always uint8 BGR crops, whatever its graph takes, and its scores
    and maps."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch: int


def signature_of(card: Card) -> Signature:
    """The signature of the network of `card`; raises InputError where it takes no crops of one size."""
    spec = card.input
    if spec.height is None or spec.width is None:
        raise InputError(f"{card.model} takes pictures of any size and no crops; serve an artefact of another network")
    inputs = [Tensor(spec.name, "UINT8", (-1, spec.height, spec.width, 3))]
    if spec.sampling is not None and spec.sampling.landmarks == "input":
        inputs.append(Tensor(LANDMARKS, "FP32", (-1, SLOTS)))
    shapes = {"score": (-1, 1), "map": (-1, 1, spec.height, spec.width)}
    outputs = [Tensor(each.name, "FP32", shapes[each.kind]) for each in card.outputs if each.kind in shapes]
    return Signature(card.served_name, tuple(inputs), tuple(outputs), card.max_batch)


@dataclass(frozen=True)
class _Input:
    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: Mapping[str, int | str | bool | float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Output:
    name: str
    parameters: Mapping[str, int | str | bool | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request that was understood."""

    id: str | None
    crops: NDArray[np.uint8]
    """(N, H, W, 3), BGR."""
    vectors: NDArray[np.float32] | None
    """Landmark vectors (N, 500) of networks that take them."""
    outputs: Mapping[str, bool]
    """By the name of an output: whether it is answered in binary."""


def read_request(body: bytes, header_length: str | None, signature: Signature) -> Asked:
    """The request in `body`, whose JSON ends after `header_length` bytes where tensors follow it.

    Raises ProblemError with what is wrong in one line.
    """
    text, binary = _split(body, header_length)
    document = _document(text)
    entries = document.get("inputs")
    if not isinstance(entries, list):
        raise bad("the request has no list of inputs")
    wanted = {tensor.name: tensor for tensor in signature.inputs}
    found: dict[str, NDArray[Any]] = {}
    at = 0
    for entry in entries:
        values = entry.pop("data", None) if isinstance(entry, dict) else None
        given = _entry(_Input, entry, "inputs")
        if given.name not in wanted or given.name in found:
            raise bad(f"the model takes {_listed(wanted)}, each once, and not '{given.name[:80]}'")
        _check(given, wanted[given.name], signature.max_batch)
        size = given.parameters.get(BINARY_SIZE)
        if size is None:
            found[given.name] = _from_json(given, values)
        elif values is not None:
            raise bad(f"input '{given.name}' comes twice, as data and as {BINARY_SIZE}")
        else:
            found[given.name] = _from_bytes(given, size, binary[at:])
            at += found[given.name].nbytes
    if missing := wanted.keys() - found.keys():
        raise bad(f"the request lacks the input {_listed(missing)}")
    if at != len(binary):
        raise bad(f"{len(binary) - at} bytes follow the last tensor")
    if len({len(values) for values in found.values()}) > 1:
        raise bad("the inputs are batches of different sizes")
    return Asked(
        _id(document), found[signature.inputs[0].name], found.get(LANDMARKS), _asked_outputs(document, signature)
    )


def write_answer(
    asked: Asked, found: Mapping[str, NDArray[np.float32]], signature: Signature
) -> tuple[bytes, int | None]:
    """The body of the answer, and how long its JSON is where tensors follow it."""
    entries, tail = [], []
    for name, binary in asked.outputs.items():
        values = np.ascontiguousarray(found[name], KINDS["FP32"])
        entry: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(values.shape)}
        if binary:
            entry["parameters"] = {BINARY_SIZE: values.nbytes}
            tail.append(values.tobytes())
        else:
            entry["data"] = values.ravel().tolist()
        entries.append(entry)
    known = {} if asked.id is None else {"id": asked.id}
    document = {"model_name": signature.name, "model_version": "1", **known, "outputs": entries}
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    return text + b"".join(tail), len(text) if tail else None


def _split(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    if not (header_length.isascii() and header_length.isdecimal() and len(header_length) < 12):
        raise bad("Inference-Header-Content-Length is not a number of bytes")
    length = int(header_length)
    if not 0 < length <= len(body):
        raise bad(f"Inference-Header-Content-Length is {length}, and the body has {len(body)} bytes")
    return body[:length], memoryview(body)[length:]


def _document(text: bytes) -> dict[str, Any]:
    def refuse(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    try:
        document = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise bad("the request is not JSON, or its Inference-Header-Content-Length is missing or wrong") from error
    if not isinstance(document, dict):
        raise bad("the request is not a JSON object")
    return document


def _entry(kind: type[Any], entry: object, where: str) -> Any:
    try:
        return from_plain(kind, entry, where)
    except (ValueError, OverflowError) as error:
        raise bad(str(error)) from error


def _id(document: Mapping[str, Any]) -> str | None:
    found = document.get("id")
    if found is not None and not isinstance(found, str):
        raise bad("the id of the request is not text")
    return found


def _check(given: _Input, wanted: Tensor, max_batch: int) -> None:
    if given.datatype != wanted.datatype:
        raise bad(f"input '{given.name}' is {given.datatype[:80]}; send {wanted.datatype}")
    if len(given.shape) != len(wanted.shape) or given.shape[1:] != wanted.shape[1:]:
        raise bad(f"input '{given.name}' has shape {_shape(given.shape)}; send {_shape(wanted.shape)}")
    if not 1 <= given.shape[0] <= max_batch:
        raise bad(f"a batch of {given.shape[0]} was sent; send 1 to {max_batch}")


def _shape(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape[:8]))}{',...' if len(shape) > 8 else ''}]"


def _from_bytes(given: _Input, size: object, rest: memoryview) -> NDArray[Any]:
    kind = KINDS[given.datatype]
    needed = math.prod(given.shape) * kind.itemsize
    if size != needed or isinstance(size, bool):
        raise bad(f"{BINARY_SIZE} of '{given.name}' is {size!r:.40}, and its shape needs {needed}")
    if len(rest) < needed:
        raise bad(f"'{given.name}' has {needed} bytes, and {len(rest)} came")
    return _finite(given, np.frombuffer(rest[:needed], kind).reshape(given.shape))


def _from_json(given: _Input, values: object) -> NDArray[Any]:
    kind = KINDS[given.datatype]
    whole = kind == np.uint8
    flat = _flat(values, given.shape)
    fits = flat is not None and {*map(type, flat)} <= ({int} if whole else {int, float})
    if flat is None or not fits or (whole and (min(flat) < 0 or max(flat) > 255)):
        words = "whole numbers from 0 to 255" if whole else "numbers"
        raise bad(f"the data of '{given.name}' are not {math.prod(given.shape)} {words}, flat or nested as its shape")
    try:
        with np.errstate(over="ignore"):
            return _finite(given, np.array(flat, np.float64).astype(kind).reshape(given.shape))
    except OverflowError as error:
        raise bad(f"'{given.name}' holds values that are not finite numbers") from error


def _flat(values: object, shape: Sequence[int]) -> list[Any] | None:
    """The numbers in a flat list, or in one that is nested as `shape`; None where it is neither.

    Lists are looked at before numpy sees them: it would make room for each entry to be as long as the longest text.
    """
    if not isinstance(values, list):
        return None
    if len(values) != math.prod(shape) or isinstance(values[0], list):
        for side, next_side in pairwise(shape):
            if len(values) % side or not all(isinstance(each, list) and len(each) == next_side for each in values):
                return None
            values = list(chain.from_iterable(values))
    return values if len(values) == math.prod(shape) else None


def _finite(given: _Input, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise bad(f"'{given.name}' holds values that are not finite numbers")
    return values


def _asked_outputs(document: Mapping[str, Any], signature: Signature) -> dict[str, bool]:
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        raise bad("the parameters of the request are not a JSON object")
    by_default = parameters.get("binary_data_output", False) is True
    entries = document.get("outputs")
    known = [tensor.name for tensor in signature.outputs]
    if entries is None:
        return dict.fromkeys(known, by_default)
    if not isinstance(entries, list) or not entries:
        raise bad("the outputs of the request are not a list of some")
    asked: dict[str, bool] = {}
    for entry in entries:
        output = _entry(_Output, entry, "outputs")
        if output.name not in known or output.name in asked:
            raise bad(f"the model gives {_listed(known)}, each once, and not '{output.name[:80]}'")
        if output.parameters.get("classification"):
            raise bad("scores are no classes; leave 'classification' out")
        asked[output.name] = output.parameters.get("binary_data", by_default) is True
    return asked


def _listed(names: Any) -> str:
    return " and ".join(f"'{name}'" for name in sorted(names))
