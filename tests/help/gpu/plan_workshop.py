"""Where tests build plans with the fake builder: a machine, an ONNX file, and a place for its plan."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fiqa_export.plan.build_plan import build_plan
from fiqa_export.plan.target import PlanOptions, order_plan
from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.facts import Budget, Verdict, Weights
from fiqa_runtime.artefact.spec import InputSpec, OutputSpec
from onnx import TensorProto, helper, numpy_helper

from tests.help.gpu.fake_machine import Machine, Make
from tests.help.gpu.fake_trt_builder import (
    FakeBuilderMachine,
    add_builder,
)

CARD = Card(
    model="ifqa",
    precision="fp16",
    format="onnx",
    input=InputSpec(8, 8, "RGB", (0.0,) * 3, (255.0,) * 3, "opencv-bilinear", "arcface-112"),
    outputs=(OutputSpec("score", "score"), OutputSpec("map", "map")),
    licence="none",
    source="none",
    max_batch=32,
    weights=Weights("seeded", "seeded"),
    parity=Verdict(
        budget=Budget(srcc=0.9998, flips=0.01), range={"score": 1.0, "map": 1.0}, max_abs={"score": 0.1}, passed=True
    ),
    versions={"torch": "2.13"},
)


def write_onnx(path: Path, shape: tuple[str | int, ...] = ("batch", 3, 8, 8)) -> Path:
    """What every fake network computes: the mean of the image and the mean over its channels."""
    axes = {
        "all": numpy_helper.from_array(np.array([1, 2, 3]), "all"),
        "channel": numpy_helper.from_array(np.array([1]), "channel"),
    }
    nodes = [
        helper.make_node("ReduceMean", ["input", "channel"], ["map"], name="/mean_1"),
        helper.make_node("ReduceMean", ["map", "all"], ["mean"], name="/mean_11"),
        helper.make_node("Flatten", ["mean"], ["score"], name="/flat"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("score", "map")]
    taken = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "graph", [taken], values, list(axes.values()))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


class Workshop:
    """A machine with the builder, an ONNX file, and a place for its plan."""

    def __init__(self, machine: Machine, seen: FakeBuilderMachine) -> None:
        self.machine, self.seen = machine, seen
        self.out = machine.folder / "out"
        self.out.mkdir()
        self.onnx = write_onnx(machine.folder / "ifqa.fp16.onnx")
        self.plan = self.out / "ifqa.fp16.plan"

    def build(self, card: Card = CARD, report: Callable[[str, int, int], None] | None = None, **options: Any) -> Card:
        asked = PlanOptions(**{"target": "tensorrt", **options})
        order = order_plan(asked, card.precision)
        return build_plan(self.onnx, card, self.plan, order, report or (lambda what, done, total: None))

    def check_nothing_left(self) -> None:
        assert list(self.out.iterdir()) == []
        self.machine.gpu.check_nothing_left()


Open = Callable[..., Workshop]


def forget_polygraphy() -> None:
    """So that it is imported again for another TensorRT."""
    for name in [each for each in sys.modules if each.split(".")[0] == "polygraphy"]:
        del sys.modules[name]


@contextmanager
def workshops(make: Make, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """A builder of workshops on machines of `make`; what TensorRT remembers goes to `cache`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("POLYGRAPHY_USE_TENSORRT_RTX", "")
    forget_polygraphy()

    def build(strongly_typed: bool = True, **machine: Any) -> Workshop:
        made = make(**machine)
        return Workshop(made, add_builder(made.trt, made.gpu, strongly_typed))

    yield build
    forget_polygraphy()
