"""Files in Google Drive folders: which address gives the bytes of a file that only its folder names.

The listing is gdown's; the bytes come over :mod:`fiqa_runtime.system.download`, which goes on after a cut.
"""

from __future__ import annotations

import html
import re
from pathlib import PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urljoin
from urllib.request import Request, urlopen

from fiqa_runtime.errors import DependencyError
from fiqa_runtime.system.download import TransferError

FOLDER = re.compile(r"https://drive\.google\.com/drive/(?:u/\d+/)?folders/[-\w]+")
BYTES = "https://drive.usercontent.google.com/download"
TIMEOUT = 30.0
LARGEST_PAGE = 1 << 20
"""Bytes of a web page that are looked at."""


def is_drive_folder(page: str) -> bool:
    """Whether `page` is the address of a Drive folder."""
    return FOLDER.match(page) is not None


def drive_address(folder: str, file: str) -> str:
    """The address of the bytes of `file` in the Drive folder at the address `folder`.

    `file` is looked for by its name; where several have it, by as much of its path as tells them apart, letter case
    aside. Raises DependencyError without gdown, TransferError where the folder cannot be listed, where the file is not
    in it, or where Drive delivers a page in place of it.
    """
    identity = _find(file, _listing(folder))
    address = f"{BYTES}?{urlencode({'id': identity, 'export': 'download', 'confirm': 't'})}"
    page = _page_at(address)
    if page is None:
        return address
    confirmed = _confirmed(page, address)
    if confirmed is not None and (page := _page_at(confirmed)) is None:
        return confirmed
    text = re.sub(r"<[^>]+>", " ", page).lower()
    if "quota" in text or "too many users" in text:
        raise TransferError("too many people fetched it lately, and Google Drive makes everybody wait; try tomorrow")
    raise TransferError("Google Drive delivered a web page instead of the file; open the folder in a browser")


def _listing(folder: str) -> dict[str, str]:
    """Drive's identity of each file in `folder` by its path there."""
    try:
        import gdown
    except ImportError as error:
        raise DependencyError(
            "it lies in a Google Drive folder; pip install 'fiqa-edge[drive]' to fetch it from there"
        ) from error
    try:
        files = gdown.download_folder(folder, quiet=True, use_cookies=False, skip_download=True, timeout=TIMEOUT)
    except Exception as error:  # of gdown, requests and urllib3, which share no class
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise TransferError(f"Google Drive does not list its folder ({reason})", again=False) from error
    return {file.path.replace("\\", "/"): file.id for file in files if not isinstance(file, str)}


def _find(file: str, listing: dict[str, str]) -> str:
    """The identity of `file` in `listing`: of its only namesake, or of the one in a folder of the same name."""
    wanted = PurePosixPath(file.lower())
    found = [path for path in listing if PurePosixPath(path.lower()).name == wanted.name]
    if len(found) > 1:
        in_folder = [path for path in found if wanted.parent.name in PurePosixPath(path.lower()).parts]
        found = in_folder or found
    if len(found) == 1:
        return listing[found[0]]
    names = ", ".join(sorted(listing)[:8]) or "nothing"
    raise TransferError(f"its Google Drive folder holds {'several such files' if found else 'no such file'} ({names})")


def _page_at(address: str) -> str | None:
    """The web page that `address` delivers, None where that is a file."""
    try:
        with urlopen(Request(address, headers={"User-Agent": "fiqa-edge"}), timeout=TIMEOUT) as response:
            if response.headers.get_content_type() != "text/html":
                return None
            return str(response.read(LARGEST_PAGE).decode("utf-8", errors="replace"))
    except HTTPError as error:
        if error.code == 404:
            raise TransferError("Google Drive does not have it any more (404)") from error
        return error.read(LARGEST_PAGE).decode("utf-8", errors="replace")
    except (URLError, OSError) as error:
        raise TransferError(f"no connection ({getattr(error, 'reason', error)})") from error


def _confirmed(page: str, address: str) -> str | None:
    """Where the form on Drive's page about large files leads; None where the page has no such form."""
    form = re.search(r'<form[^>]*\baction="([^"]+)"', page)
    fields = dict(re.findall(r'<input[^>]*\bname="([^"]+)"[^>]*\bvalue="([^"]*)"', page))
    if form is None or "id" not in fields:
        return None
    return f"{urljoin(address, html.unescape(form[1]))}?{urlencode({k: html.unescape(v) for k, v in fields.items()})}"
