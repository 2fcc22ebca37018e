"""Who may ask, the headers of every answer, and the counters."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.serve.pages import FILES
from prometheus_client.parser import text_string_to_metric_families

from tests.help.servers.served import ask, picture, served, service_for

TOKEN = "0123456789abcdef-secret"
CLOSED = ("/v2", "/v2/models/ediffiqa-t-fp32", "/metrics", "/nothing")
OPEN = ("/", "/v2/health/live", "/v2/health/ready", *(f"/{name}" for name in FILES))


@pytest.fixture(scope="module")
def guarded(scorer: Scorer) -> Iterator[str]:
    """A server that asks for a token."""
    with service_for(scorer) as service, served(service, TOKEN, local=False) as found:
        yield found


@pytest.mark.parametrize(
    "given", ["", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, "Bearer \xff"]
)
def test_a_wrong_token_opens_nothing(guarded: str, given: str) -> None:
    headers = {"authorization": given} if given else {}
    for path in CLOSED:
        answer = ask(guarded, path, None, **headers)
        assert answer.is_problem(401, "a token is needed") and answer.headers["www-authenticate"] == "Bearer"
    assert ask(guarded, "/faces", picture()[0], **headers).status == 401
    assert all(ask(guarded, path, None, **headers).status == 200 for path in OPEN)


def test_the_token_opens_everything(guarded: str) -> None:
    for kind in ("Bearer", "bearer"):
        statuses = [ask(guarded, path, authorization=f"{kind} {TOKEN}").status for path in CLOSED]
        assert statuses == [200, 200, 200, 404]
    elsewhere = {"host": "faces.example.org", "origin": "https://faces.example.org"}  # as a proxy hands it on
    assert ask(guarded, "/faces", picture()[0], authorization=f"Bearer {TOKEN}", **elsewhere).status == 200


def test_without_a_token_pages_of_others_may_not_ask(place: str) -> None:
    port = place.split(":")[1]
    for host in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "127.0.0.9"):
        assert ask(place, "/v2", host=host).status == 200
        assert ask(place, "/faces", picture()[0], host=host, origin=f"http://{host}").status == 200
        for origin in ("http://evil.example", "null", f"http://localhost:{int(port) ^ 1}", "http://[", "x"):
            assert ask(place, "/faces", picture()[0], host=host, origin=origin).is_problem(403, "other origins")
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "localhost.evil.example",
        "[",
        "@localhost@evil",
        "10.0.0.1",
        "",
    ):
        assert ask(place, "/v2", host=host).is_problem(421, "localhost alone")


def test_every_answer_says_what_its_page_may_do(place: str) -> None:
    for answer in (ask(place, "/"), ask(place, "/v2"), ask(place, "/nothing"), ask(place, "/v2", host="evil")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff" and "server" not in answer.headers


def test_the_page_loads_what_is_here_and_nothing_else(place: str) -> None:
    for name, kind in FILES.items():
        answer = ask(place, f"/{name}")
        assert answer.status == 200 and answer.headers["content-type"].startswith(kind)
        text = answer.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text and "//cdn" not in text
        named = re.findall(r'(?:href|src|from)[= ]"(?:\./)?([^"]+)"', text)
        assert {*named} <= {*FILES}, name
    for path in ("/page/page.html", "/../service.py", "/%2e%2e/service.py", "//etc/passwd", "/page.html/"):
        assert ask(place, path).status == 404


def test_counters_are_prometheus_text(scorer: Scorer) -> None:
    with service_for(scorer) as service, served(service) as place:
        assert ask(place, "/faces", picture()[0]).status == 200
        assert ask(place, "/faces", b"x").status == 415
        for path in ("/a", "/b?c", '/"\n'.replace("\n", "%0A")):
            assert ask(place, path).status == 404
        answer = ask(place, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.body.decode())
    samples = {(one.name, *sorted(one.labels.values())): one.value for each in families for one in each.samples}
    assert samples["fiqa_serve_faces_total",] == samples["fiqa_serve_crops_total",] == 1
    assert samples["fiqa_serve_requests_total", "200", "faces"] == 1
    assert samples["fiqa_serve_requests_total", "415", "faces"] == 1
    assert samples["fiqa_serve_requests_total", "404", "none"] == 3
    assert samples["fiqa_serve_request_seconds_bucket", "+Inf", "faces"] == 2
    assert samples["fiqa_serve_request_seconds_count", "faces"] == 2 and samples["fiqa_serve_ready",] == 1
