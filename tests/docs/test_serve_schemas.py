"""Real answers of fiqa-serve keep to their JSON Schemas, without unknown entries."""

from __future__ import annotations

import numpy as np
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.scorer import Scorer

from tests.docs.conftest import Check
from tests.help.samples.one_face import OneFace
from tests.help.servers.served import ask, picture, served, service_for


class WithOneThatCannotBeCutOut(OneFace):
    def detect(self, image: Image) -> list[Detection]:
        face = super().detect(image)[0]
        return [face, Detection(face.box, np.zeros((5, 2), np.float32), 0.5)]


def test_faces_and_problems(scorer: Scorer, check: Check) -> None:
    with service_for(scorer) as service, served(service) as place:
        check("faces", ask(place, "/faces", picture()[0]).json)
        check("problem", ask(place, "/faces", b"hello").json)
    with service_for(scorer, finder=WithOneThatCannotBeCutOut()) as service, served(service) as place:
        found = ask(place, "/faces", picture()[0]).json
    assert found["left_out"]
    check("faces", found)
