"""One server for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.serve.service import Service

from tests.help.servers.served import served, service_for


@pytest.fixture(scope="module")
def service(scorer: Scorer) -> Iterator[Service]:
    """eDifFIQA(T) under seeded weights, which finds one face in every photo."""
    with service_for(scorer) as opened:
        yield opened


@pytest.fixture(scope="module")
def place(service: Service) -> Iterator[str]:
    """Where it is served, as host:port."""
    with served(service) as found:
        yield found
