"""Describes the machine of a measurement, without which a latency means nothing."""

from __future__ import annotations

import os
import platform
from typing import Any

from fiqa_runtime.errors import DependencyError
from fiqa_runtime.system.host import cpu_features, cpu_model, installed_versions, memory_limit, own_groups, usable_cores

VERSIONED_PACKAGES = (
    *("fiqa-edge", "numpy", "opencv-python", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu"),
    *("openvino", "torch", "onnx", "tensorrt", "tensorrt-rtx"),
)


def machine() -> dict[str, Any]:
    """The CPU, the cores and memory that this process may use, and the system; raises DependencyError without
    psutil."""
    try:
        import psutil
    except ImportError as error:
        raise DependencyError("psutil is not installed; pip install 'fiqa-edge[bench]'") from error
    groups = own_groups()
    return {
        "cpu": cpu_model(),
        "cpu_features": cpu_features(),
        "cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "usable_cores": usable_cores(groups),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "memory_bytes": min(psutil.virtual_memory().total, memory_limit(groups)),
        "architecture": platform.machine(),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that affect speed or scores."""
    return {"python": platform.python_version(), **installed_versions(VERSIONED_PACKAGES)}
