"""What cards say, made for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from fiqa_runtime.artefact.card import Card, with_files, write_card
from fiqa_runtime.artefact.facts import Int8Conversion, PlanBuild, PlanFlags, Profile

FLAGS: dict[str, Any] = {
    "tf32": False,
    "version_compatible": False,
    "hardware_compatible": False,
    "dla": None,
    "workspace": None,
    "optimisation": None,
}


def profiles(by_input: Mapping[str, Mapping[str, Sequence[int]]]) -> dict[str, Profile]:
    """By input name: a profile from {`min`, `opt`, `max`: shape}; `opt` may be missing, it is then the largest."""
    return {
        name: Profile(tuple(shapes["min"]), tuple(shapes.get("opt", shapes["max"])), tuple(shapes["max"]))
        for name, shapes in by_input.items()
    }


def plan_build(
    by_input: Mapping[str, Mapping[str, Sequence[int]]], flags: Mapping[str, Any] | None = None, **facts: Any
) -> PlanBuild:
    """A plan for the fake Orin; `flags` and `facts` change what it says."""
    known: dict[str, Any] = {
        "flavour": "tensorrt",
        "version": "10.3.0",
        "gpu": "Fake Orin",
        "compute_capability": "8.7",
        "driver": "12.6",
        "profile": profiles(by_input),
        "flags": PlanFlags(**{**FLAGS, **(flags or {})}),
        "layers": 1,
        "onnx_sha256": "0" * 64,
    }
    return PlanBuild(**{**known, **facts})


def int8_conversion(
    warning: str | None = None, left_out: Mapping[str, int] | None = None, **facts: Any
) -> Int8Conversion:
    """An int8 conversion of a graph of ten nodes, of which two stay in float32."""
    known: dict[str, Any] = {
        "fp32_bytes": 4_000_000,
        "nodes": 10,
        "kept_in_fp32": {"a": "why", "b": "why"},
        "mac_share": 0.9,
        "bytes_share": 0.3,
        "methods": {"minmax": 8},
        "equalised": 0,
        "fitted": True,
        "images": 100,
        "calibration": "0" * 64,
        "trials": (),
    }
    return Int8Conversion(warning=warning, left_out=left_out, **{**known, **facts})


def card_beside_alone(card: Card, artefact: Path) -> None:
    """Take the card inside the ONNX file `artefact` out, and put `card` beside it."""
    model = onnx.load(artefact)
    del model.metadata_props[:]
    onnx.save(model, artefact)
    write_card(with_files(card, artefact.parent, [artefact.name]), artefact)
