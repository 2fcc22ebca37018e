"""Which package drives CUDA here."""

from __future__ import annotations

import importlib.util

from fiqa_runtime.backends.cuda.driver import Driver
from fiqa_runtime.errors import DependencyError


def open_driver() -> Driver:
    """The driver on pycuda, or on cuda-python where pycuda is not installed.

    Raises DependencyError where neither is installed, UnsupportedError where there is no GPU.
    """
    if importlib.util.find_spec("pycuda"):
        from fiqa_runtime.backends.cuda.pycuda_driver import PycudaDriver

        return PycudaDriver()
    if importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings"):
        from fiqa_runtime.backends.cuda.cuda_python_driver import CudaPythonDriver

        return CudaPythonDriver()
    raise DependencyError(
        "neither pycuda nor cuda-python is installed; pip install 'fiqa-edge[tensorrt]', or cuda-python alone"
    )
