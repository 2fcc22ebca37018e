"""Turns pip's report of an installation into a lock: `python .ci/lock.py report.json requirements.lock`.

The hashes are those of the files that pip took on this platform; others are locked by running `make lock` there.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

HEAD = """# Every package of `.[dev]` with the SHA-256 of its file, for {where}.
# pip checks them: pip install --require-hashes -r requirements.lock; then: pip install --no-deps -e .
# Written by `make lock`.
"""


def main(report: Path, lock: Path) -> None:
    """Write `lock` from `report`."""
    lines = []
    for entry in json.loads(report.read_text("utf-8"))["install"]:
        hashes = entry["download_info"].get("archive_info", {}).get("hashes", {})
        if "sha256" in hashes:  # the checkout itself has none
            name, version = entry["metadata"]["name"].lower(), entry["metadata"]["version"]
            lines.append(f"{name}=={version} --hash=sha256:{hashes['sha256']}\n")
    where = f"Python {'.'.join(platform.python_version_tuple()[:2])} on {platform.machine()} {platform.system()}"
    lock.write_text(HEAD.format(where=where) + "".join(sorted(lines)), "utf-8")
    report.unlink()


main(*map(Path, sys.argv[1:]))
