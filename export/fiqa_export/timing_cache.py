"""What TensorRT measured about its kernels, kept per GPU and version: later builds take a fraction of the time."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from fiqa_runtime.backends.device_memory import Gpu
from fiqa_runtime.fetch import user_cache


def timing_cache_path(gpu: Gpu, version: str) -> Path:
    """The cache file in this user's cache folder; it need not exist."""
    name = re.sub(r"[^\w.]+", "-", f"{gpu.name} {gpu.compute_capability} tensorrt {version}").lower()
    return user_cache() / "timing" / f"{name}.cache"


def load_timing_cache(config: Any, path: Path) -> None:
    """Give the builder configuration the cache in `path`; an empty one where that is absent, damaged or foreign."""
    kept = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(kept)
    if cache is None or not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def save_timing_cache(config: Any, path: Path) -> bool:
    """Keep what a build has measured. Returns False where nothing can be written, which costs no more than time."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(config.get_timing_cache().serialize())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        return False
    return True
