"""The files of the page at ``/``, which lie in ``page/``."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "page.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "asking.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""By name: the type of each file."""


def read_files() -> dict[str, bytes]:
    """Every file by its name."""
    folder = Path(__file__).parent / "page"
    return {name: (folder / name).read_bytes() for name in FILES}
