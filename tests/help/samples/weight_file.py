"""One weight file as the zoo describes it, and where it may lie."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fiqa_runtime.artefact.spec import Checkpoint
from fiqa_runtime.errors import FetchError

FILE = "family/net.pth"


def checkpoint(url: str | None, sha256: str | None = None) -> Checkpoint:
    return Checkpoint(FILE, page="https://example.org/weights", url=url, sha256=sha256)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def put(path: Path, body: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def leftovers(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()} - {target.name}


def assert_says_the_fix(error: FetchError) -> None:
    text = str(error)
    assert "\n" not in text
    assert "get it from https://example.org/weights" in text
    assert text.endswith(f"save it as {Path.cwd() / 'weights' / FILE}")
