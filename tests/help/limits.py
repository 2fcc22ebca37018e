"""Limits that no test may come near."""

from __future__ import annotations

HANGS = 300
"""Seconds after which a test hangs and has to fail; however busy the machine, what works takes a small part of it."""
