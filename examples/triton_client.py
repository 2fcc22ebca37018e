"""Finds faces here and has a Triton server score them.

    fiqa-export ediffiqa-t --weights standin --raw-input --target none --triton models/
    tritonserver --model-repository models/                       # on the server
    pip install 'fiqa-edge[headless]' 'tritonclient[grpc]'
    python examples/triton_client.py localhost:8001 ediffiqa-t-fp32 photo.jpg

The artefact was exported with --raw-input, so that the server takes uint8 BGR crops and nothing can be normalised
wrongly here. The model ediffiqa-t-fp32-crops of --with-faces takes the same; that one was run, on a tritonserver
without a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tritonclient.grpc as grpc
from fiqa_runtime import Detector, arcface_crop, read_image
from numpy.typing import NDArray


class TritonScorer:
    """Scores crops on the server at `address`, by the model called `model` there."""

    def __init__(self, address: str, model: str) -> None:
        self._client = grpc.InferenceServerClient(address)
        self._model = model

    def score(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """uint8 BGR crops, all of the network's size -> float32 (N,), higher is better."""
        batch = np.stack(list(crops))
        request = grpc.InferInput("input", list(batch.shape), "UINT8")
        request.set_data_from_numpy(batch)
        answer = self._client.infer(self._model, [request])
        return np.asarray(answer.as_numpy("score"), np.float32).reshape(len(batch))


def main(address: str, model: str, *photos: str) -> None:
    """Print the score of every face of `photos`."""
    scorer, detector = TritonScorer(address, model), Detector()
    for photo in photos:
        image = read_image(Path(photo))
        crops = [arcface_crop(image, face.landmarks) for face in detector.detect(image)]
        for number, score in enumerate(scorer.score(crops) if crops else ()):
            print(f"{photo}  face {number}  {score:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
