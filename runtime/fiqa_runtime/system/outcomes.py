"""What was measured on this machine, remembered in the user cache: one file for each question."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2

from fiqa_runtime.errors import InputError
from fiqa_runtime.system.documents import parse_json
from fiqa_runtime.system.files import user_cache, write_text
from fiqa_runtime.system.host import cpu_features, cpu_model, installed_versions, own_groups, usable_cores


def this_machine(distributions: tuple[str, ...]) -> dict[str, Any]:
    """What decides how fast something is here: the processor, the cores granted, and the versions of packages."""
    return {
        "cpu": cpu_model(),
        "features": cpu_features(),
        "cores": usable_cores(own_groups()),
        "versions": {**installed_versions(("fiqa-edge", "numpy", *distributions)), "opencv": cv2.__version__},
    }


class Outcome:
    """The place of the answer to one question, which is plain data.

    `folder` is the name of a folder in the user cache.
    """

    def __init__(self, folder: str, question: Mapping[str, Any]) -> None:
        self._question = json.loads(json.dumps(question))  # as it comes back from the file, without tuples
        key = hashlib.sha256(json.dumps(self._question, sort_keys=True).encode()).hexdigest()[:32]
        self.file: Path = user_cache() / folder / f"{key}.json"

    def recall(self) -> Any:
        """The answer; None where there is none, or the file is damaged or answers another question."""
        try:
            document = parse_json(self.file.read_text("utf-8"))
            return document["answer"] if document["question"] == self._question else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, answer: Any) -> str:
        """Keep `answer`; gives a note for people on where it is, or on why it is not kept."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.file, json.dumps({"question": self._question, "answer": answer}, indent=1))
        except (OSError, InputError) as error:
            return f"measured now, and again next time: {error}"
        return f"measured now, remembered in {self.file}"

    def forget(self) -> None:
        """Ask anew next time."""
        with suppress(OSError):
            self.file.unlink(missing_ok=True)
