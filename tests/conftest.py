"""Fixtures that every test file shares: golden numbers, and folders of real files outside the repository."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fiqa_runtime.artefact.zoo import MODELS

from tests.help.places import GOLDEN

if TYPE_CHECKING:
    from fiqa_runtime.scoring.scorer import Scorer


def pytest_itemcollected(item: pytest.Item) -> None:
    """`-k golden` selects every test that reads a golden document."""
    if "golden" in getattr(item, "fixturenames", ()):
        item.extra_keyword_matches.add("golden")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Tests of one network, or else of one file, stay in one process, which prepares what they share once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByNetwork(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return max((name for name in MODELS if f"[{name}" in nodeid), key=len, default=nodeid.split("::")[0])

    return ByNetwork(config, log)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """Loader of one golden document by its path without suffix: `golden("ifqa.state")`."""
    return lambda name: json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def images_dir() -> Path:
    """Folder with the pictures that the goldens name."""
    return _folder("FIQA_IMAGES_DIR", "pictures")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """Folder with official checkpoints."""
    return _folder("FIQA_WEIGHTS_DIR", "official checkpoints")


def _folder(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"set {variable} to the folder with the {what}")
    return Path(value)


@pytest.fixture(scope="session")
def seeded_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """eDifFIQA(T) under seeded weights as fiqa-export writes it: ONNX and card, in a folder of their own."""
    from fiqa_export.pipeline import export

    return export("ediffiqa-t", "seeded", tmp_path_factory.mktemp("engines")).path


@pytest.fixture(scope="module")
def scorer(seeded_engine: Path) -> Iterator[Scorer]:
    """That network in ONNX Runtime, on one thread."""
    from fiqa_runtime.scoring.scorer import Scorer

    with Scorer(seeded_engine, "onnxruntime", threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures on which mistakes of preprocessing show."""
    from tests.help.feeds import write_crops

    return write_crops(tmp_path_factory.mktemp("crops"))


@pytest.fixture(autouse=True)
def untried_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is the first backend, without the seconds that trying all of them takes; test_choice.py tries them."""
    from fiqa_runtime.scoring.trial import Trial

    def first(names: Sequence[str], *question: object) -> tuple[tuple[Trial, ...], str]:
        return tuple(Trial(name, True, "not tried in tests", float(place)) for place, name in enumerate(names)), ""

    monkeypatch.setattr("fiqa_runtime.scoring.choice._tried", first)
