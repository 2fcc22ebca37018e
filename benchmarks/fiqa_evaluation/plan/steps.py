"""Results by the content that they were made of: what has not changed is not computed again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fiqa_runtime.images.reading import SUFFIXES
from fiqa_runtime.system.files import sha256_file, write_text


@dataclass
class Steps:
    """The results of a plan in a folder, each under the name of its step."""

    folder: Path
    made: list[str] = field(default_factory=list)
    """Steps that were computed by this run."""
    kept: list[str] = field(default_factory=list)
    """Steps whose results of an earlier run still hold."""

    def result(
        self, name: str, content: Mapping[str, Any], compute: Callable[[], Any], needs: Path | None = None
    ) -> tuple[Any, bool]:
        """What ``compute()`` gives, plain data, and whether it was kept from the last run: it is where `content` is
        still the same, and the file `needs` that it wrote is still there."""
        key = digest(content)
        path = self.folder / f"{''.join(c if c.isalnum() or c in '-._' else '_' for c in name)}.json"
        known = _read(path)
        if known is not None and known.get("key") == key and (needs is None or needs.is_file()):
            self.kept.append(name)
            return known["result"], True
        found = compute()
        write_text(path, json.dumps({"key": key, "result": found}))
        self.made.append(name)
        return json.loads(json.dumps(found)), False


def digest(content: Mapping[str, Any]) -> str:
    """A hash of plain data and of this project's version."""
    text = json.dumps({**content, "fiqa-edge": version("fiqa-edge")}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def content_of(path: Path) -> str:
    """A hash of a file's bytes; of a folder's files by name, and of what is in them: whole where they are lists, by
    size and time of the last write where they are images."""
    if path.is_file():
        return sha256_file(path)
    found = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            status = file.stat()
            image = file.suffix.lower() in SUFFIXES
            state = f"{status.st_size} {status.st_mtime_ns}" if image else sha256_file(file)
            found.update(f"{file.relative_to(path)} {state}\n".encode(errors="surrogateescape"))
    return found.hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """What an earlier run kept; None where there is nothing whole."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "result" in found else None
