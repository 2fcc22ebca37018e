"""Fixtures that every test file shares: golden numbers, and folders of real files outside the repository."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.system.host import let_openmp_sleep
from hypothesis import settings

from tests.help.places import GOLDEN

if TYPE_CHECKING:
    from fiqa_runtime.scoring.scorer import Scorer

FILES = {"images_dir", "weights_dir"}
"""Fixtures that give real files from outside the repository."""
IMAGES, WEIGHTS = FILE_FOLDERS = ("FIQA_IMAGES_DIR", "FIQA_WEIGHTS_DIR")
OF_A_TERMINAL = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS", "TERM")
OF_A_SERVICE = ("CI", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "TERMINAL_WIDTH")


settings.register_profile("anywhere", deadline=None, derandomize=True, database=None)
settings.load_profile("anywhere")
let_openmp_sleep()  # as fiqa-export does, and here too before any test imports torch


def pytest_itemcollected(item: pytest.Item) -> None:
    """`-k golden` selects every test that reads a golden document, `-m files` every one that needs our files.

    A name that holds an address in memory is another one in each of the test processes, which have to agree on them.
    """
    assert " at 0x" not in item.nodeid, f"give {item.nodeid} names (ids=) that are the same in every process"
    fixtures: Sequence[str] = getattr(item, "fixturenames", ())
    if "golden" in fixtures:
        item.extra_keyword_matches.add("golden")
    if FILES.intersection(fixtures):
        item.add_marker("files")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Tests of one network, or else of one file, stay in one process, which prepares what they share once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByNetwork(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return max((name for name in MODELS if f"[{name}" in nodeid), key=len, default=nodeid.split("::")[0])

    return ByNetwork(config, log)


@pytest.fixture(autouse=True)
def same_numbers_in_any_order(request: pytest.FixtureRequest) -> None:
    """The generator `RNG` of a test file begins anew before each test, whatever tests ran before."""
    generator = getattr(request.module, "RNG", None)
    if isinstance(generator, np.random.Generator):
        bits: Any = generator.bit_generator
        bits.state = np.random.PCG64(bits.seed_seq).jumped().state  # numbers that the file itself has not drawn


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """Loader of one golden document by its path without suffix: `golden("ifqa.state")`."""
    return lambda name: json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def images_dir() -> Path:
    """Folder with the pictures that the goldens name."""
    return _folder(IMAGES, "pictures")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """Folder with official checkpoints."""
    return _folder(WEIGHTS, "official checkpoints")


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
    from tests.help.samples.feeds import write_crops

    return write_crops(tmp_path_factory.mktemp("crops"))


@pytest.fixture(scope="session", autouse=True)
def machine_of_a_stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Tests run as on a machine without a network, a terminal and anything in the user's caches.

    Gives the environment as it was, for the test that installs packages.
    """
    before = dict(os.environ)
    caches = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        for protocol in ("http", "https", "all"):
            for variable in (f"{protocol}_proxy", f"{protocol}_proxy".upper()):
                patch.setenv(variable, f"http://127.0.0.1:{closed.getsockname()[1]}")
        for variable in ("no_proxy", "NO_PROXY"):
            patch.setenv(variable, "127.0.0.1,localhost")
        for variable in (*OF_A_TERMINAL, *OF_A_SERVICE):
            patch.delenv(variable, raising=False)
        patch.setenv("XDG_CACHE_HOME", str(caches / "shared"))
        patch.setenv("MPLCONFIGDIR", str(caches / "matplotlib"))
        yield before


@pytest.fixture(autouse=True)
def own_cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each test has a user cache of its own; one that does not ask for our files does not see where they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        if not FILES.intersection(request.fixturenames):
            for variable in FILE_FOLDERS:
                patch.delenv(variable, raising=False)
        yield


@pytest.fixture(autouse=True)
def untried_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is the first backend, without the seconds that trying all of them takes; test_choice.py tries them."""
    from fiqa_runtime.backends import available
    from fiqa_runtime.scoring import choice
    from fiqa_runtime.scoring.trial import Trial

    def untried(backend: str, *question: object) -> Trial:
        return Trial(backend, True, "not tried in tests", float(available().index(backend)))

    monkeypatch.setattr(choice, "try_backend", untried)
