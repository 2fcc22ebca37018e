"""Runs OpenVINO without its fused subgraphs, to measure what fusing attention gains there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from fiqa_runtime.backends.base import Arrays, Inputs
from fiqa_runtime.errors import UnsupportedError
from fiqa_runtime.system.host import thread_limit


class UnfusedOpenVino:
    """A backend that runs an ONNX file in float32, every operator on its own.

    OpenVINO recognises attention however it is written, so a changed graph cannot show what fusing gains. Raises
    UnsupportedError where fusing cannot be switched off in this version.
    """

    name = "openvino"
    info: Mapping[str, str] = {"device": "cpu", "arithmetic": "float32"}

    def __init__(self, path: Path, threads: int | None) -> None:
        import openvino as ov

        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "SNIPPETS_MODE": "DISABLE"}
        if limit := threads or thread_limit():
            config["INFERENCE_NUM_THREADS"] = str(limit)
        try:
            self.model = ov.Core().compile_model(str(path), "CPU", config)
        except RuntimeError as error:
            raise UnsupportedError(f"OpenVINO {ov.__version__} cannot switch fusing off; leave it out") from error
        self._request = self.model.create_infer_request()
        self._outputs = [port.get_any_name() for port in self.model.outputs]

    def run(self, inputs: Inputs) -> Arrays:
        self._request.infer(dict(inputs), share_inputs=True)
        return {n: np.array(self._request.get_output_tensor(i).data) for i, n in enumerate(self._outputs)}

    def close(self) -> None:
        del self._request, self.model
