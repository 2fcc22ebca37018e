"""Which names are those of streams rather than of photos."""

from __future__ import annotations

import re
from pathlib import Path

VIDEOS = frozenset((".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm"))
"""Files that count as videos by their name."""
SCHEMES = ("http", "https", "rtmp", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
ADDRESS = re.compile(rf"({'|'.join(SCHEMES)}):/", re.IGNORECASE)


def is_stream(text: str) -> bool:
    """Whether `text` names a stream rather than photos: a camera, an address, a pipeline, or a file that is a video by
    its name."""
    if Path(text).is_dir():
        return False
    camera = text.isdecimal() and not Path(text).exists()
    return camera or bool(ADDRESS.match(text)) or " ! " in text or Path(text).suffix.lower() in VIDEOS
