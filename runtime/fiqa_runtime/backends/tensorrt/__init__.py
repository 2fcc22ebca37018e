"""TensorRT on an NVIDIA GPU: the backend, its engine, its buffers, and where a plan can run."""

from fiqa_runtime.backends.tensorrt.backend import open_artefact

__all__ = ["open_artefact"]
