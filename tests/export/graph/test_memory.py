"""What `give_back` returns to the system, in a process of its own, where nothing else has shaped the heap."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

MIB = 2**20
SCRIPT = """
import resource
import numpy as np
from pathlib import Path
from fiqa_export.graph.memory import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

np.ones(2**21)  # freed: from now on the C library keeps blocks of up to 16 MB
blocks = [np.ones(2**17) for _ in range(200)]
last = blocks[-1]
held = resident()
del blocks
freed = resident()
give_back()
print(held, freed, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only this C library keeps what is freed")
def test_freed_blocks_go_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    held, freed, after = map(int, done.stdout.split())
    assert held - freed < 50 * MIB, "the library keeps them, or this test shows nothing"
    assert freed - after > 150 * MIB
