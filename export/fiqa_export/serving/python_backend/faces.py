"""Triton's python backend: photos -> their faces with their quality, by fiqa_runtime.

Input: the bytes of N photos (JPEG, PNG, WebP, BMP). A photo that cannot be used has its reason in `error` and stops no
other one. `count` (N, 1) is the number of faces of each photo; `box` (N, F, 4), `landmarks` (N, F, 5, 2), `confidence`
and `quality` (N, F) have room for those of the photo with the most faces, and NaN where another one has fewer. They are
as :class:`fiqa_runtime.Face` describes them, the most confident face first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import triton_python_backend_utils as triton
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.face_quality import Face, FaceQuality, LeftOutError
from fiqa_runtime.images.dimensions import common_size
from fiqa_runtime.images.reading import decode_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test
from numpy.typing import NDArray

MOST_PIXELS = 64_000_000
"""Larger photos are refused."""
SHAPES: dict[str, tuple[int, ...]] = {"box": (4,), "landmarks": (5, 2), "confidence": (), "quality": ()}
"""What is told of each face, and the shape of it."""


class TritonPythonModel:
    """The methods are those that Triton calls."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        said = {name: value["string_value"] for name, value in config["parameters"].items()}
        version = Path(args["model_repository"], args["model_version"])
        self._scorer = Scorer(version / said["artefact"], said["backend"])
        tested = self_test(self._scorer)
        if not tested.passed:
            raise triton.TritonModelException(str(tested))
        self._quality = FaceQuality(self._scorer, Detector(version / said["detector"]))

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(triton.get_input_tensor_by_name(request, "photo").as_numpy()) for request in requests]

    def finalize(self) -> None:
        self._scorer.close()

    def _answer(self, photos: NDArray[np.object_]) -> Any:
        rows = [self._faces(data) for data in photos.ravel()]
        most = max(len(faces) for faces, _ in rows)
        tensors = [
            triton.Tensor("count", np.array([[len(faces)] for faces, _ in rows], np.int32)),
            triton.Tensor("error", np.array([[error.encode()] for _, error in rows], np.object_)),
        ]
        for name, shape in SHAPES.items():
            values = np.full((len(rows), most, *shape), np.nan, np.float32)
            for row, (faces, _) in enumerate(rows):
                for number, face in enumerate(faces):
                    values[row, number] = getattr(face, name)
            tensors.append(triton.Tensor(name, values))
        return triton.InferenceResponse(tensors)

    def _faces(self, data: bytes) -> tuple[list[Face], str]:
        """The faces of a photo, and why there are no more."""
        if common_size(data) is None:
            return [], "the photo is not a JPEG, PNG, WebP or BMP picture"
        try:
            return self._quality.assess(decode_image(data, "the photo", MOST_PIXELS)), ""
        except LeftOutError as error:
            return error.faces, str(error)
        except InputError as error:
            return [], str(error)
        except cv2.error as error:
            return [], f"OpenCV refuses the photo ({error.err}); shrink it"
