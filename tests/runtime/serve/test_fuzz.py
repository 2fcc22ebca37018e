"""A few hundred requests that are almost right: none ends in a 500, and none stops the server."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from fiqa_runtime.serve.service import Service

from tests.help.fuzzed_requests import fuzzed_request, send, status_of
from tests.help.servers.served import ask, picture

REQUESTS = 400


def test_no_request_ends_in_a_500(place: str, service: Service, caplog: pytest.LogCaptureFixture) -> None:
    found = Counter[int]()
    for number in range(REQUESTS):
        data, whole = fuzzed_request(number)
        status = status_of(send(place, data, whole))
        assert status < 500, (number, data[:300])
        assert status or not whole, (number, data[:300])
        found[status] += 1
    assert found[200] > REQUESTS / 10 and found[400] > REQUESTS / 10 and found[415] and found[422] and found[405]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert service.bodies.held == service.under_way == 0
    assert ask(place, "/faces", picture()[0]).status == 200
