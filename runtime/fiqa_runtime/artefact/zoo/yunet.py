"""YuNet in two sizes, and the file of it that finds faces where no other is named."""

from __future__ import annotations

from fiqa_runtime.artefact.spec import Checkpoint, InputSpec, ModelSpec, OutputSpec

_COMMIT = "0047ac24afb1a50a0c6105001c89d1b5b805dbf1"
_HEADS = tuple(
    OutputSpec(f"{kind}_{stride}", "head", (0.0, 1.0) if kind in ("cls", "obj") else None)
    for kind in ("cls", "obj", "bbox", "kps")
    for stride in (8, 16, 32)
)


def _yunet(size: str, parameters: int, macs: int, sha256: str) -> ModelSpec:
    repository = "https://github.com/ShiqiYu/libfacedetection.train"
    return ModelSpec(
        name=f"yunet-{size}",
        family="yunet",
        task="detection",
        input=InputSpec(None, None, "BGR", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "none", "photo"),
        outputs=_HEADS,
        parameters=parameters,
        macs=macs,
        licence="Apache-2.0 (training repository); OpenCV Zoo distributes its ONNX as MIT",
        source="Wu, Peng, Yu: YuNet, Machine Intelligence Research 2023; github.com/ShiqiYu/libfacedetection.train",
        weights={
            "official": (
                Checkpoint(
                    f"yunet_{size}.pth",
                    page=f"{repository}/tree/{_COMMIT}/weights",
                    url=f"{repository}/raw/{_COMMIT}/weights/yunet_{size}.pth",
                    sha256=sha256,
                    key="state_dict",
                ),
            )
        },
    )


YUNET = (
    _yunet("s", 54_608, 344_224_000, "f2688fecd5aef7d204d04ca12ff377b724978abbe5955740bc67280d99ffe4d6"),
    _yunet("n", 75_856, 542_393_600, "9c7c9e14a4d60e57491d77e4d8b0d451bd834f300e05c0dea7fd1f6533817b06"),
)

DETECTOR = Checkpoint(
    "face_detection_yunet_2023mar.onnx",
    page="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
    url="https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)
"""The face detector used where none is named: YuNet as OpenCV Zoo ships it (MIT)."""
