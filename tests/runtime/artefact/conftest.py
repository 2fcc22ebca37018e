"""Fixtures for artefacts and weight files: a server on the loopback interface."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.help.file_server import Origin, serving


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A server that delivers one file as a test asks."""
    with serving() as running:
        yield running
