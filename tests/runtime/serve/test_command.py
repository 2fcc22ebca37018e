"""``fiqa-serve`` as typed: what it refuses to begin with, and how it ends."""

from __future__ import annotations

import http.client
import signal
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest
from fiqa_runtime import serve_cli
from fiqa_runtime.command.settings import FaceSettings
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import SelfTest
from fiqa_runtime.serve import service
from fiqa_runtime.serve.limits import Limits

from tests.help.commands import Invoke, invoker
from tests.help.limits import HANGS
from tests.help.samples.map_engines import map_engines
from tests.help.samples.one_face import OneFace
from tests.help.servers.served import ask, command, picture, place_of, until

TOKEN = "a-token-of-some-length"


@pytest.fixture
def serve(seeded_engine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """``fiqa-serve`` with an engine, which it may refuse."""
    invoke = invoker(serve_cli.main, capsys, monkeypatch)
    monkeypatch.setattr(FaceSettings, "open_detector", lambda *_: OneFace())
    usual = ("--port", 0, "--backend", "onnxruntime", "--threads", 1)
    return lambda *arguments: invoke("--engine", seeded_engine, *usual, *arguments)


def test_without_the_extra(serve: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_cli, "find_spec", lambda name: None if name == "uvicorn" else find_spec(name))
    assert serve().is_one_line("fiqa-serve needs uvicorn; pip install 'fiqa-edge[serve]'")


def test_an_engine_that_is_missing_or_gives_no_scores(serve: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    assert serve("--engine", "none.onnx").is_one_line("no artefact at none.onnx")
    monkeypatch.setattr(Scorer, "has_score", False)
    assert serve().is_one_line("ediffiqa-t gives no quality scores; name an artefact of a quality network")


def test_a_port_that_is_taken_and_an_address_that_is_not_ours(serve: Invoke) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert serve("--port", port).is_one_line(f"cannot listen on 127.0.0.1 port {port}", "choose another --port")
    assert serve("--host", "192.0.2.1").is_one_line("cannot listen on 192.0.2.1")
    assert serve("--host", "no host").is_one_line("--host no host cannot be used")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--max-body", "0"), ("--max-body", "nan"), ("--max-pixels", "-1"), ("--max-pixels", "1e9"), ("--timeout", "inf")],
)
def test_limits_that_are_none(serve: Invoke, option: str, value: str) -> None:
    assert serve(option, value).is_one_line(f"{option} is {float(value):g}; give a number above 0")


def test_limits_are_as_documented() -> None:
    assert Limits() == Limits(16 << 20, 64_000_000, 30.0, 10.0, 64)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, b"two words of some length", b"x" * 1025])
def test_tokens_that_are_none(serve: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    assert serve("--token-file", file).is_one_line(f"the token in {file} is not")
    monkeypatch.setenv(serve_cli.TOKEN, content.decode("latin-1"))
    assert serve().is_one_line("the token in FIQA_SERVE_TOKEN is not")


def test_a_token_file_that_cannot_be_read(serve: Invoke, tmp_path: Path) -> None:
    assert serve("--token-file", tmp_path / "none").is_one_line("cannot read the token", "No such file")
    assert serve("--token-file", tmp_path).is_one_line("cannot read the token", "Is a directory")


def test_missed_canaries_end_it_with_3(serve: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "self_test", lambda _: SelfTest(4, {"score": 1.0}, {"score": 0.1}))
    result = serve()
    assert result.code == 3 and "serving ediffiqa-t-fp32 at http://127.0.0.1:" in result.err
    assert "self-test FAILED on 4 canaries" in result.err.splitlines()[-1]


def test_a_card_without_canaries_cannot_be_checked(serve: Invoke, tmp_path: Path) -> None:
    engine = map_engines(tmp_path)["fp32"]
    assert serve("--engine", engine).ends_in("has no canaries; export it with fiqa-export to get them")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_requests_under_way(
    seeded_engine: Path, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    process = command("--engine", seeded_engine, "--token-file", tmp_path / "token")
    try:
        place = place_of(process)
        assert ask(place, "/v2").status == 401
        connection = begun(place, picture()[0][:-1], 1)
        idle = http.client.HTTPConnection(place, timeout=HANGS)
        idle.request("GET", "/v2/health/ready")
        idle.getresponse().read()
        process.send_signal(number)
        refused(place)
        connection.send(picture()[0][-1:])
        answer = connection.getresponse()
        assert answer.status == 200 and len(answer.read()) > 100
        _, err = process.communicate(timeout=HANGS)
        assert process.returncode == 0 and err == "stopped\n"
    finally:
        process.kill()
        process.communicate()


def test_a_second_interrupt_ends_it_at_once(seeded_engine: Path) -> None:
    process = command("--engine", seeded_engine)
    try:
        place = place_of(process)
        connection = begun(place, b"abc", 1)
        process.send_signal(signal.SIGINT)
        refused(place)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANGS)
        connection.close()
        assert process.returncode == 130 and err.endswith("stopped\n") and "Traceback" not in err
    finally:
        process.kill()
        process.communicate()


def begun(place: str, body: bytes, lacks: int) -> http.client.HTTPConnection:
    """A request whose body lacks some bytes."""
    connection = http.client.HTTPConnection(place, timeout=HANGS)
    connection.putrequest("POST", "/faces")
    connection.putheader("Content-Length", str(len(body) + lacks))
    connection.putheader("Authorization", f"Bearer {TOKEN}")
    connection.endheaders(body)
    assert ask(place, "/v2/health/ready").status == 200  # asked later, so that the request above was seen before
    return connection


def refused(place: str) -> None:
    """Wait until nobody listens there any more."""
    host, port = place.split(":")

    def closed() -> bool:
        try:
            socket.create_connection((host, int(port)), HANGS).close()
        except ConnectionRefusedError:
            return True
        return False

    until(closed)
