"""What a benchmark says of the machine: cores and memory that containers grant, versions."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from fiqa_benchmarks.speed.machine import machine, versions
from fiqa_runtime.errors import DependencyError
from fiqa_runtime.system.host import cpu_limit, memory_limit, own_groups, usable_cores


def group(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")
    return folder


def test_limits_of_containers_version_2(tmp_path: Path) -> None:
    group(tmp_path / "slice/pod", cpu__max="max 100000", memory__max="max")
    group(tmp_path / "slice", cpu__max="150000 100000", memory__max="2147483648")
    group(tmp_path)
    groups = own_groups("0::/slice/pod\n", tmp_path)
    assert groups == [tmp_path / "slice/pod", tmp_path / "slice", tmp_path]
    assert [cpu_limit(g) for g in groups] == [math.inf, 1.5, math.inf]
    assert memory_limit(groups) == 2**31
    assert usable_cores(groups) == min(1.5, usable_cores([]))


def test_limits_of_containers_version_1(tmp_path: Path) -> None:
    group(tmp_path / "cpu,cpuacct/job", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    group(tmp_path / "cpu,cpuacct", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    group(tmp_path / "memory/job", memory__limit_in_bytes="1000000")
    groups = own_groups("4:memory:/job\n3:cpuset:/\n2:cpu,cpuacct:/job\n", tmp_path)
    assert usable_cores(groups) == 0.5
    assert memory_limit(groups) == 1e6


@pytest.mark.parametrize("page", [4096, 65536])
def test_the_largest_number_of_version_1_is_no_limit(tmp_path: Path, page: int) -> None:
    group(tmp_path / "memory/job", memory__limit_in_bytes=str(2**63 - page))
    assert memory_limit(own_groups("4:memory:/job\n", tmp_path)) == math.inf


def test_machine_and_versions_describe_this_machine() -> None:
    here = machine()
    assert here["cpu"]
    assert 0 < here["usable_cores"] <= os.cpu_count()
    assert 2**28 < here["memory_bytes"] < 2**46
    assert versions()["numpy"] == np.__version__
    assert json.loads(json.dumps(here)) == here


def test_no_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(DependencyError, match=r"fiqa-edge\[bench\]"):
        machine()
