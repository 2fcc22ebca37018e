"""Downloads are encrypted and bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from fiqa_runtime.artefact.weight_files import locate
from fiqa_runtime.artefact.zoo import DETECTOR, MODELS
from fiqa_runtime.errors import FetchError

from tests.help.samples.weight_file import checkpoint
from tests.help.servers.file_server import OLD, Origin

pytestmark = pytest.mark.usefixtures("empty_machine")


def test_no_server_fills_the_disk(origin: Origin, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fiqa_runtime.system.download.LARGEST", len(OLD) - 1)
    with pytest.raises(FetchError, match=r"delivers more than [\d,]+ bytes, which is no checkpoint"):
        locate(checkpoint(origin.url))
    assert not cached.exists()
    assert origin.sent <= len(OLD)


def test_every_address_is_encrypted() -> None:
    files = [DETECTOR, *(file for spec in MODELS.values() for files in spec.weights.values() for file in files)]
    assert all(file.url is None or file.url.startswith("https://") for file in files)
