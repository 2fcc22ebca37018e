"""Weights in Google Drive folders: listed, fetched, continued, and one line for each page that comes in their place."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fiqa_runtime.artefact.spec import Checkpoint
from fiqa_runtime.artefact.weight_files import locate, recorded_sha256
from fiqa_runtime.errors import FetchError

from tests.help.samples.weight_file import sha256
from tests.help.servers.drive_server import FOLDER, FOLDER_ID, OTHER, QUOTA, Drive, serving_drive

pytestmark = pytest.mark.usefixtures("empty_machine")
BODY = bytes(range(256)) * 1000
LOG, NET, SUB = (letter * 33 for letter in "LNS")
FILE = "32572backbone.pth"


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drive]:
    pytest.importorskip("gdown", reason="pip install 'fiqa-edge[drive]' lists Google Drive's folders")
    with serving_drive(monkeypatch) as served:
        served.folders[FOLDER_ID] = {"training.log": LOG, FILE: NET}
        served.files |= {LOG: b"a log", NET: BODY}
        yield served


def checkpoint(file: str = FILE) -> Checkpoint:
    return Checkpoint(file, page=FOLDER)


@pytest.mark.parametrize("asks", [False, True])
def test_the_named_file_of_a_folder_arrives(drive: Drive, asks: bool) -> None:
    drive.asks = asks
    path = locate(checkpoint())
    assert path.read_bytes() == BODY
    assert recorded_sha256(path) == sha256(BODY)


def test_a_cut_download_goes_on(drive: Drive) -> None:
    drive.cut = 100_000
    with pytest.raises(FetchError, match="cut after 100,000 of 256,000 bytes"):
        locate(checkpoint())
    drive.cut = None
    drive.ranges.clear()
    assert locate(checkpoint()).read_bytes() == BODY
    assert drive.ranges[-1] == "bytes=100000-"


def test_files_of_one_name_are_told_apart_by_their_folder(drive: Drive) -> None:
    places = {"GFIQA": "G" * 33, "CGFIQA": "C" * 33}
    drive.folders[FOLDER_ID] = places
    for name, place in places.items():
        drive.folders[place] = {"DE.pt": name[0].lower() * 33}
        drive.files[name[0].lower() * 33] = name.encode()
    assert locate(checkpoint("dsl-fiqa/gfiqa/DE.pt")).read_bytes() == b"GFIQA"
    assert locate(checkpoint("dsl-fiqa/cgfiqa/DE.pt")).read_bytes() == b"CGFIQA"
    with pytest.raises(FetchError, match="several such files"):
        locate(checkpoint("dsl-fiqa/custom/DE.pt"))


@pytest.mark.parametrize(
    ("page", "status", "says"),
    [
        (QUOTA, 200, "too many people fetched it lately.*try tomorrow"),
        (QUOTA, 429, "too many people fetched it lately"),
        (OTHER, 200, "a web page instead of the file; open the folder in a browser"),
        (OTHER, 404, "does not have it any more"),
    ],
)
def test_a_page_in_place_of_the_file(drive: Drive, page: str, status: int, says: str) -> None:
    drive.page, drive.status = page, status
    with pytest.raises(FetchError, match=says) as caught:
        locate(checkpoint())
    assert f"get it from {FOLDER}" in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_without_the_file_and_one_that_cannot_be_listed(drive: Drive) -> None:
    with pytest.raises(FetchError, match=r"holds no such file \(32572backbone.pth, training.log\)"):
        locate(checkpoint("181952backbone.pth"))
    del drive.folders[FOLDER_ID]
    with pytest.raises(FetchError, match="does not list its folder") as caught:
        locate(checkpoint())
    assert "\n" not in str(caught.value)


def test_without_gdown_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(FetchError, match=r"pip install 'fiqa-edge\[drive\]'.*save it as") as caught:
        locate(checkpoint())
    assert str(Path.cwd()) in str(caught.value)
