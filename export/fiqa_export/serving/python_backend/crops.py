"""Triton's python backend: crops -> their quality, by fiqa_runtime, as fiqa-score scores them.

Input: uint8 BGR (N, H, W, 3). Output: float32 (N, 1), higher is better. What gathers while a batch runs is scored
together. The model is not loaded where the artefact fails its self-test here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test


class TritonPythonModel:
    """The methods are those that Triton calls."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        said = {name: value["string_value"] for name, value in config["parameters"].items()}
        version = Path(args["model_repository"], args["model_version"])
        self._scorer = Scorer(version / said["artefact"], said["backend"])
        self._input, self._output = config["input"][0]["name"], config["output"][0]["name"]
        tested = self_test(self._scorer)
        if not tested.passed:
            raise triton.TritonModelException(str(tested))

    def execute(self, requests: list[Any]) -> list[Any]:
        batches = [triton.get_input_tensor_by_name(request, self._input).as_numpy() for request in requests]
        scores = self._scorer.score(list(np.concatenate(batches))).reshape(-1, 1)
        shares = np.split(scores, np.cumsum([len(batch) for batch in batches])[:-1])
        return [triton.InferenceResponse([triton.Tensor(self._output, share)]) for share in shares]

    def finalize(self) -> None:
        self._scorer.close()
