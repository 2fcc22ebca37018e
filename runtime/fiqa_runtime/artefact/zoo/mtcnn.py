"""MTCNN's three networks, and their weights in the two forms in which they are published."""

from __future__ import annotations

from fiqa_runtime.artefact.spec import Checkpoint, InputSpec, ModelSpec, OutputSpec

_MEAN, _STD = (127.5, 127.5, 127.5), (128.0, 128.0, 128.0)
_REPOSITORY = "https://github.com/timesler/facenet-pytorch"


def _mtcnn(stage: str, side: int | None, parameters: int, macs: int, sha256: str) -> ModelSpec:
    heads = [OutputSpec("probability", "head", (0.0, 1.0)), OutputSpec("offsets", "head")]
    if stage == "o":
        heads.append(OutputSpec("points", "head"))
    return ModelSpec(
        name=f"mtcnn-{stage}",
        family="mtcnn",
        task="detection",
        input=InputSpec(
            *(side, side, "RGB", _MEAN, _STD),
            resize="none" if side is None else "area-float",
            framing="photo" if side is None else "face-box",
            multiple=1,
        ),
        outputs=tuple(heads),
        parameters=parameters,
        macs=macs,
        licence="MIT (the Python package mtcnn, and facenet-pytorch)",
        source="Zhang, Zhang, Li, Qiao: MTCNN, IEEE SPL 2016; github.com/timesler/facenet-pytorch",
        weights={
            "official": (
                Checkpoint(
                    f"{stage}net.lz4",
                    page="https://github.com/ipazc/mtcnn",
                    sha256=sha256,
                    package=f"mtcnn:assets/weights/{stage}net.lz4",
                ),
            ),
            "facenet-pytorch": (
                Checkpoint(
                    f"{stage}net.pt",
                    page=f"{_REPOSITORY}/tree/master/data",
                    url=f"{_REPOSITORY}/raw/master/data/{stage}net.pt",
                ),
            ),
        },
        max_batch=32 if side is None else 128,
        notes=("one of the three networks of MTCNN; MtcnnDetector runs them one after the other",),
    )


MTCNN = (
    _mtcnn("p", None, 6_632, 178_118_040, "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5"),
    _mtcnn("r", 24, 100_178, 1_530_768, "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee"),
    _mtcnn("o", 48, 389_040, 12_909_952, "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3"),
)
