"""How much a server takes of anything."""

from __future__ import annotations

from dataclasses import dataclass

HELD = 16
"""The bodies of all requests together may hold so many times the bytes of the largest one."""
CONNECTIONS = 512
"""Connections at once; more are answered 503."""
LARGEST_HEAD = 32 << 10
"""Bytes of the request line and the headers."""
KEEP_ALIVE = 75
"""Seconds for which a connection stays open between two requests."""


@dataclass(frozen=True)
class Limits:
    """What one request may take, and how many there may be."""

    body: int = 16 << 20
    """Bytes of a request's body."""
    pixels: int = 64_000_000
    """Pixels of a photo."""
    seconds: float = 30.0
    """Time in which a body has to come, and then time in which it has to be answered."""
    head_seconds: float = 10.0
    """Time in which the headers of a request have to come."""
    requests: int = 64
    """Requests that are worked on or wait for it."""
