"""Weights are found in order, and what is found is what was published or recorded."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fiqa_runtime.artefact.weight_files import locate
from fiqa_runtime.errors import CheckpointError, FetchError, InputError
from fiqa_runtime.system.files import user_cache

from tests.help.samples.weight_file import FILE, assert_says_the_fix, checkpoint, put, sha256
from tests.help.servers.file_server import NEW, OLD, Origin

pytestmark = pytest.mark.usefixtures("empty_machine")


def test_no_address() -> None:
    with pytest.raises(FetchError, match="no address for direct download") as caught:
        locate(checkpoint(None))
    assert_says_the_fix(caught.value)


def test_download_can_be_forbidden(origin: Origin) -> None:
    with pytest.raises(FetchError, match="is not on this machine") as caught:
        locate(checkpoint(origin.url), download=False)
    assert_says_the_fix(caught.value)
    assert origin.asked == []


def test_the_advice_names_the_folder_that_is_searched_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIQA_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(FetchError, match="is not on this machine") as caught:
        locate(checkpoint(None, None), download=False)
    assert str(caught.value).endswith(f"save it as {tmp_path / FILE}")


def test_search_order(tmp_path: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIQA_WEIGHTS_DIR", str(tmp_path / "named"))
    put(cached, b"cache")
    put(tmp_path / "weights" / FILE, b"here")
    named = put(tmp_path / "named" / FILE, b"named")
    assert locate(checkpoint(None)).read_bytes() == b"named"
    named.unlink()
    assert locate(checkpoint(None)).read_bytes() == b"here"
    (tmp_path / "weights" / FILE).unlink()
    assert locate(checkpoint(None)) == cached


def test_folders_that_cannot_be_looked_into_are_passed_over(
    tmp_path: Path, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = os.stat

    def forbidden(path: Any, **options: Any) -> os.stat_result:
        if str(path) == str(cached):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", forbidden)
    with pytest.raises(FetchError, match="is not on this machine"):
        locate(checkpoint("https://example.invalid/file"), download=False)


def test_weights_folder_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIQA_WEIGHTS_DIR", "nowhere")
    with pytest.raises(InputError, match="FIQA_WEIGHTS_DIR is set to nowhere, which is not a folder"):
        locate(checkpoint(None))


def test_weights_folder_that_may_not_be_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIQA_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="not a folder that you may search; correct or unset it"):
        locate(checkpoint(None))


@pytest.fixture()
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a user without a home, in a temporary folder of the test."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "home", Mock(side_effect=RuntimeError("Could not determine home directory.")))
    return tmp_path / f"fiqa-edge-{os.getuid()}"


def test_cache_of_a_user_without_home(homeless: Path) -> None:
    assert [user_cache(), user_cache()] == [homeless, homeless]
    assert stat.S_IMODE(homeless.stat().st_mode) == 0o700


def test_temporary_folder_that_cannot_be_written(homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", Mock(side_effect=OSError(errno.EROFS, "Read-only file system")))
    assert user_cache() == homeless


@pytest.mark.parametrize("planted", ["writable folder", "link", "file", "folder of another"])
def test_cache_that_somebody_else_has_put_there(
    homeless: Path, planted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if planted == "file":
        homeless.touch()
    elif planted == "link":
        homeless.symlink_to(tmp_path)
    else:
        homeless.mkdir(mode=0o700)
        homeless.chmod(0o777 if planted == "writable folder" else 0o700)
    if planted == "folder of another":
        user = os.getuid()
        homeless.rename(homeless.with_name(f"fiqa-edge-{user + 1}"))
        monkeypatch.setattr(os, "getuid", lambda: user + 1)
    with pytest.raises(InputError, match=r"others may write to .*; set XDG_CACHE_HOME"):
        user_cache()


def test_found_file_with_another_hash_is_refused_and_kept(origin: Origin, tmp_path: Path) -> None:
    path = put(tmp_path / "weights" / FILE, NEW)
    with pytest.raises(CheckpointError, match="is not the published file") as caught:
        locate(checkpoint(origin.url, sha256(OLD)))
    assert not isinstance(caught.value, FetchError)
    assert sha256(NEW) in str(caught.value)
    assert path.read_bytes() == NEW
    assert origin.asked == []


def test_file_that_changed_since_it_was_recorded(origin: Origin, cached: Path) -> None:
    locate(checkpoint(origin.url))
    cached.write_bytes(OLD + b"and more")
    with pytest.raises(CheckpointError, match=r"has changed since it was downloaded.*delete net.pth.sha256"):
        locate(checkpoint(origin.url))
    cached.with_name("net.pth.sha256").unlink()
    assert locate(checkpoint(origin.url)) == cached


def test_damaged_record_is_told(origin: Origin, cached: Path) -> None:
    locate(checkpoint(origin.url))
    cached.with_name("net.pth.sha256").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match=r"has changed since it was downloaded.*delete net.pth.sha256"):
        locate(checkpoint(origin.url))
