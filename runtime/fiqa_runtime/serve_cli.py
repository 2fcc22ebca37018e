"""``fiqa-serve``: one artefact behind HTTP."""

from __future__ import annotations

import os
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from fiqa_runtime.artefact.location import default_engine
from fiqa_runtime.artefact.spec import check_precision
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.backends.devices import DEVICE_HELP, PLAN_BACKEND
from fiqa_runtime.command.settings import EngineSettings, FaceSettings, assessor_for
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.serve.limits import Limits
from fiqa_runtime.system.host import check_threads, limit_opencv
from fiqa_runtime.terminal.common_options import ENGINE_HELP, Quiet, Verbose, Version, panel
from fiqa_runtime.terminal.console import run, tell

app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
_what, _where, _limits = panel("What is served"), panel("To whom"), panel("Limits")
_faces, _speed = panel("How faces are found"), panel("Speed")
EXAMPLE = "Example: fiqa-serve --engine ediffiqa-t.fp32.onnx, then curl --data-binary @photo.jpg localhost:8000/faces"
TOKEN = "FIQA_SERVE_TOKEN"
"""Environment variable with the token."""
LONGEST_TOKEN = 1024
EXTRA = ("starlette", "uvicorn", "python_multipart", "prometheus_client")
"""Packages of the extra `serve`."""
_usual = Limits()


@app.command(epilog=EXAMPLE)
def serve(
    engine: Annotated[
        str | None,
        _what(help=ENGINE_HELP),
    ] = None,
    host: Annotated[
        str, _where(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 is for other machines too.")
    ] = "127.0.0.1",
    port: Annotated[int, _where(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        _where(help=f"File with a token that requests need: Authorization: Bearer TOKEN. Default: {TOKEN}, else none."),
    ] = None,
    detector: Annotated[
        str | None, _faces(metavar="yunet|mtcnn|FILE", help="What finds the faces of photos, as in fiqa-score.")
    ] = None,
    min_confidence: Annotated[
        float | None, _faces(help="Detections below it are ignored, 0 to 1, as in fiqa-score.")
    ] = None,
    longest_side: Annotated[
        int | None, _faces(metavar="PX", help="Photos are shrunk to it for detection, as in fiqa-score.")
    ] = None,
    max_body: Annotated[
        float, _limits(metavar="MB", help="Largest body of a request; all together may hold 16 times as much.")
    ] = _usual.body / (1 << 20),
    max_pixels: Annotated[float, _limits(metavar="MP", help="Largest photo, in millions of pixels.")] = (
        _usual.pixels / 1e6
    ),
    timeout: Annotated[
        float, _limits(metavar="SECONDS", help="Time for a body to come, and then for it to be answered.")
    ] = _usual.seconds,
    queue: Annotated[
        int, _limits(metavar="N", min=1, max=4096, help="Requests at once; more get 429 and may try again.")
    ] = _usual.requests,
    backend: Annotated[str, _speed(help=f"auto, {', '.join(ONNX_BACKENDS)} or {PLAN_BACKEND}.")] = "auto",
    device: Annotated[str | None, _speed(help=DEVICE_HELP)] = None,
    threads: Annotated[int | None, _speed(min=1, help="Threads of detection and of scoring each.")] = None,
    cpu_precision: Annotated[
        str, _speed(help="exact: float32. fast: bfloat16 or float16 where the ranking of faces is kept.")
    ] = "exact",
    version: Version = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Serve one artefact over HTTP: crops by the Open Inference Protocol, photos at /faces, a page at /.

    It is ready once the card's canaries have been scored. SIGINT (Ctrl-C) or SIGTERM ends it when the requests under
    way are answered. Scores are those of fiqa-score; higher is better.

    Exit code 0: ended by a signal. 2: bad input, or a port that is taken. 3: the canaries were missed.
    """
    limits = _limits_of(max_body, max_pixels, timeout, queue)
    check_threads(threads)
    precision = check_precision(cpu_precision)
    token = read_token(token_file)
    used = engine or str(default_engine())
    _check_extra()
    from fiqa_runtime.serve.application import application
    from fiqa_runtime.serve.gate import is_own
    from fiqa_runtime.serve.listening import listen, serve, server_for
    from fiqa_runtime.serve.service import Service

    settings = EngineSettings(used, backend, threads, precision, device=device)
    faces = FaceSettings(detector, None, min_confidence, longest_side, "least-squares")
    limit_opencv(threads)
    with ExitStack() as stack:
        bound = stack.enter_context(listen(host, port))
        scorer = stack.enter_context(settings.open())
        if not scorer.has_score:
            raise InputError(f"{scorer.card.model} gives no quality scores; name an artefact of a quality network")
        assessor = assessor_for(scorer, faces.open_detector(settings, scorer), faces.align, settings, stack)
        service = Service(scorer, assessor, limits)
        stack.callback(service.close)
        shown, port = bound.getsockname()[:2]
        local = is_own(shown)
        where = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
        if not local and token is None:
            tell([f"anybody who reaches {where} may ask; --token-file FILE or {TOKEN} asks for a token"])

        def begin() -> None:
            tell([f"serving {service.card.served_name} at {where}, ready after the self-test"])
            tell([f"ready: {service.check()}"])

        serve(server_for(application(service, token, local), limits), bound, begin)
    tell(["stopped"])


def _limits_of(max_body: float, max_pixels: float, timeout: float, queue: int) -> Limits:
    """The limits as options; raises InputError for a size or a time that is not above 0 and within reason."""
    for name, value, largest in (
        ("--max-body", max_body, 1024.0),
        ("--max-pixels", max_pixels, 268.0),
        ("--timeout", timeout, 3600.0),
    ):
        if not 0 < value <= largest:
            raise InputError(f"{name} is {value:g}; give a number above 0, up to {largest:g}")
    return Limits(int(max_body * (1 << 20)), int(max_pixels * 1e6), timeout, requests=queue)


def read_token(file: Path | None) -> str | None:
    """The token in `file`, else in the environment, else None; raises InputError where it cannot be one."""
    if file is None:
        token, where = os.environ.get(TOKEN), TOKEN
        if token is None:
            return None
    else:
        where = str(file)
        try:
            with file.open("rb") as stream:
                token = stream.read(2 * LONGEST_TOKEN).decode("ascii")
        except OSError as error:
            told = f"cannot read the token in {file}: {error.strerror or error}; check its name and permissions"
            raise InputError(told) from error
        except ValueError as error:
            raise InputError(f"the token in {file} is not ASCII text; take letters and digits") from error
    token = token.strip()
    if not (16 <= len(token) <= LONGEST_TOKEN and token.isascii() and token.isprintable() and " " not in token):
        raise InputError(
            f"the token in {where} is not 16 to {LONGEST_TOKEN} letters and digits; openssl rand -hex 32 makes one"
        )
    return token


def _check_extra() -> None:
    """Raise DependencyError where what listens is not installed."""
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise DependencyError(f"fiqa-serve needs {' and '.join(missing)}; pip install 'fiqa-edge[serve]'")


def main() -> None:
    """Entry point of ``fiqa-serve``."""
    run(app)


if __name__ == "__main__":
    main()
