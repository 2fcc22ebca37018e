"""The demo's steps on the way to a score: export, detector, and the same network in every runtime."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from fiqa_runtime.backends import ONNX_BACKENDS, available
from fiqa_runtime.errors import FetchError, FiqaError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test
from fiqa_runtime.terminal.console import progress_bar, stderr

from fiqa_export.pipeline import Exported, Options, export
from fiqa_export.plan.target import NoBuilderError, PlanOptions, PlanOrder, order_plan
from fiqa_export.verdict.recipe import FP16, FP32

MODEL, MTCNN = "ediffiqa-t", ("mtcnn-p", "mtcnn-r", "mtcnn-o")
ROUNDS, CROPS = 15, 8


@dataclass(frozen=True)
class Row:
    """One artefact in one runtime."""

    artefact: str
    backend: str
    version: str
    one: float
    """Milliseconds for one crop, from pixels to score; the median of several rounds."""
    eight: float
    """Milliseconds for eight."""
    off: float
    """Largest difference of a score to PyTorch's."""

    def as_json(self) -> dict[str, Any]:
        """One entry of the demo's summary."""
        return asdict(self)


def say(what: str, detail: str = "") -> None:
    """Tell on stderr what happens now."""
    stderr.print(f"{what} {detail}".rstrip(), soft_wrap=True, highlight=False)


def export_network(out: Path) -> list[Exported]:
    """eDifFIQA(T) in float32 and in half precision, the second with a plan where TensorRT can build one here.

    The authors' weights where they can be had, else stand-in weights, and a line says so.
    """
    plan = _plan_order()
    with progress_bar() as report:
        try:
            weights = None
            say("exporting", f"{MODEL}: float32, then half precision")
            first = export(MODEL, weights, out, report=report)
        except FetchError as error:
            say("official weights:", str(error).partition(";")[0])
            say(
                "so the same chain runs with --weights standin: not a published model and not for production, but its "
                "scores fall with technical degradation"
            )
            weights = "standin"
            first = export(MODEL, weights, out, report=report)
        second = export(MODEL, weights, out, Options(FP16, plan=plan), report=report)
    for exported in (first, second):
        parity = exported.parity
        srcc = f", SRCC {parity.score.srcc:.6f}" if parity.score else ""
        largest = f"max |d| to PyTorch {parity.max_abs['score']:.1e}"
        say(f"parity of {exported.path.name}:", f"pass over {parity.images} images, {largest}{srcc}")
    return [first, second]


def _plan_order() -> PlanOrder | None:
    try:
        return order_plan(PlanOptions(), FP16.precision)
    except NoBuilderError as error:
        say("no TensorRT plan is built:", str(error))
        return None


def open_detector(engines: Path) -> Detector | MtcnnDetector:
    """YuNet where its file is here or can be fetched, else MTCNN, whose weights a Python package brings."""
    try:
        return Detector()
    except FetchError as error:
        say("face detector:", str(error).partition(";")[0])
        say("so MTCNN finds the faces, with the weights of the Python package mtcnn")
    with progress_bar() as report:
        for name in MTCNN:
            export(name, None, engines, Options(FP32), report)
    return MtcnnDetector(engines)


def side_by_side(exported: list[Exported]) -> list[Row]:
    """Each artefact in each installed runtime, measured in turns; one that refuses it is named and left out."""
    say("timing", f"{', '.join(name for name in ONNX_BACKENDS if name in available())} side by side")
    opened: dict[tuple[str, str], Scorer] = {}
    for item in exported:
        for backend in ONNX_BACKENDS:
            if backend in available():
                try:
                    opened[item.path.name, backend] = Scorer(item.path, backend)
                except FiqaError as error:
                    say(f"{item.path.name} in {backend}:", str(error))
    crops = [seeded_image(index, 112, 112) for index in range(CROPS)]
    times: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in opened}
    for _ in range(ROUNDS):
        for key, scorer in opened.items():
            times[key].append((_milliseconds(scorer.score, crops[:1]), _milliseconds(scorer.score, crops)))
    rows = []
    for (artefact, backend), scorer in opened.items():
        one, eight = (median(column) for column in zip(*times[artefact, backend], strict=True))
        off = self_test(scorer).largest["score"]
        version = scorer.backend.info["version"].partition("-")[0]
        rows.append(Row(artefact, backend, version, one, eight, off))
        scorer.close()
    return rows


def _milliseconds(call: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    call(*arguments)
    return 1000 * (time.perf_counter() - start)
