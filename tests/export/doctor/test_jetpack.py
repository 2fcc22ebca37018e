"""NVIDIA's tables: which JetPack ships what, and which TensorRT has kernels for which GPU."""

from __future__ import annotations

import pytest
from fiqa_export.doctor.facts import TensorRt
from fiqa_export.doctor.gather import l4t_version
from fiqa_export.doctor.jetpack import has_kernels, jetpack_version, shipped_with


@pytest.mark.parametrize(
    ("version", "place", "capability", "jetpack", "answer"),
    [
        ("10.3.0", "apt", "8.7", "6.2", True),
        ("10.7.0", "apt", "8.7", "6.2", True),
        ("10.8.0", "apt", "8.7", "6.2", False),
        ("10.3.0", "pip", "8.7", "6.2", True),
        ("10.7.0", "pip", "8.7", "6.2", False),
        ("10.13.3", "pip", "8.7", "6.2", False),
        ("10.16.1", "pip", "8.7", "6.2", False),
        ("10.13.3", "apt", "8.7", "7.2", False),
        ("10.16.2", "apt", "8.7", "7.2", True),
        ("10.16.1", "pip", "8.7", "7.2", True),
        ("10.16.1", "pip", "8.7", None, None),
        ("11.0.0", "pip", "8.7", "7.2", None),
        ("11.3.0", "pip", "8.7", "7.2", False),
        ("11.4.0", "pip", "8.7", "7.2.2", False),
        ("11.4.1", "pip", "8.7", "7.2.1", False),
        ("11.4.1", "pip", "8.7", "7.2.2", True),
        ("11.4.1", "pip", "8.7", "6.2", False),
        ("10.13.0", "pip", "11.0", "7.0", False),
        ("10.13.3", "apt", "11.0", "7.0", True),
        ("11.3.0", "pip", "11.0", "7.1", False),
        ("10.4.0", "pip", "7.0", None, True),
        ("10.5.0", "pip", "7.0", None, False),
        ("10.3.0", "pip", "6.1", None, False),
        ("10.7.0", "pip", "12.0", None, False),
        ("10.8.0", "pip", "12.0", None, True),
        ("10.3.0", "pip", "9.0", None, True),
        ("11.4.1", "pip", "8.9", None, True),
    ],
)
def test_kernels(version: str, place: str, capability: str, jetpack: str | None, answer: bool | None) -> None:
    trt = TensorRt("tensorrt", version, "apt" if place == "apt" else "pip", None)
    assert has_kernels(trt, capability, jetpack) is answer


def test_jetpack_versions() -> None:
    assert l4t_version(None) is None
    assert l4t_version("nonsense") is None
    assert jetpack_version("36.4.7", None) == "6.2.1"
    assert jetpack_version("39.2.0", "7.2.1-b49") == "7.2.1"
    assert jetpack_version("99.0.0", None) is None
    assert shipped_with("6.2.1") == shipped_with("6.2")
    assert shipped_with(None) is None
