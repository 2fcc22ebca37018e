"""The routes: what is answered to each request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from fiqa_runtime.serve.batcher import Outputs
from fiqa_runtime.serve.bodies import picture_in
from fiqa_runtime.serve.gate import Gate
from fiqa_runtime.serve.pages import FILES, read_files
from fiqa_runtime.serve.photos import faces_of, read_photo
from fiqa_runtime.serve.problems import ProblemError
from fiqa_runtime.serve.service import Service
from fiqa_runtime.serve.tensors import read_request, write_answer
from fiqa_runtime.system.host import installed_versions

HEADER_LENGTH = "Inference-Header-Content-Length"
SMALL = 64 << 10
"""Bytes of JSON up to which it is read at once; more is read in a thread, so that others need not wait for it."""
MANY = 4096
"""Values up to which an answer is written at once."""
VERSION = "1"


def application(service: Service, token: str | None = None, local: bool = True) -> ASGIApp:
    """What answers requests with `service`; `token` and `local` as :class:`fiqa_runtime.serve.gate.Gate` has them."""
    routes = _Routes(service)
    model = "/v2/models/{model}"
    known = [
        Route("/", routes.page),
        *(Route(f"/{name}", routes.page) for name in FILES),
        Route("/v2", routes.server),
        Route("/v2/health/live", routes.live),
        Route("/v2/health/ready", routes.ready),
        Route("/faces", routes.faces, methods=["POST"]),
        Route("/metrics", routes.metrics),
    ]
    for place in (model, f"{model}/versions/{{version}}"):
        known += [
            Route(place, routes.model),
            Route(f"{place}/ready", routes.model_ready),
            Route(f"{place}/infer", routes.infer, methods=["POST"]),
        ]
    handlers: Mapping[Any, Any] = {ProblemError: _problem, HTTPException: _refused, Exception: _failed}
    app = Starlette(routes=known, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Gate(app, service.counters, service.limits, token, local)


class _Routes:
    """One method for each route."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._files = read_files()
        self._version = installed_versions(["fiqa-edge"]).get("fiqa-edge", "not installed")

    async def page(self, request: Request) -> Response:
        name = request.url.path.removeprefix("/") or "page.html"
        return Response(self._files[name], media_type=FILES[name])

    async def server(self, request: Request) -> Response:
        return _json({"name": "fiqa-edge", "version": self._version, "extensions": ["binary_tensor_data"]})

    async def live(self, request: Request) -> Response:
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        self._service.check_ready()
        return _json({"ready": True})

    async def model(self, request: Request) -> Response:
        self._check_model(request)
        signature = self._service.signature
        return _json(
            {
                "name": signature.name,
                "versions": [VERSION],
                "platform": "fiqa-edge",
                "inputs": [tensor.as_dict() for tensor in signature.inputs],
                "outputs": [tensor.as_dict() for tensor in signature.outputs],
            }
        )

    async def model_ready(self, request: Request) -> Response:
        self._check_model(request)
        self._service.check_ready()
        return _json({"name": self._service.signature.name, "ready": True})

    async def infer(self, request: Request) -> Response:
        self._check_model(request)
        service = self._service
        service.check_ready()
        async with service.bodies.body_of(request) as body:
            with service.admitted():
                length = request.headers.get(HEADER_LENGTH)
                read = partial(read_request, body, length, service.signature)
                asked = read() if _is_small(body, length) else await service.in_thread(read)
                outputs = await service.in_time(service.batcher.submit(list(asked.crops), asked.vectors))
                write = partial(write_answer, asked, outputs, service.signature)
                text, size = write() if _is_light(outputs) else await service.in_thread(write)
        if size is None:
            return Response(text, media_type="application/json")
        return Response(text, headers={HEADER_LENGTH: str(size)}, media_type="application/octet-stream")

    async def faces(self, request: Request) -> Response:
        service = self._service
        service.check_ready()
        async with service.bodies.body_of(request) as body:
            with service.admitted():
                kind = request.headers.get("content-type", "")
                return _json(await service.in_thread(partial(self._assess, kind, body)))

    def _assess(self, kind: str, body: bytes) -> dict[str, Any]:
        service = self._service
        photo = read_photo(picture_in(kind, body), service.limits.pixels)
        found = faces_of(photo, service.assessor, service.card)
        service.counters.count_photo(len(found["faces"]))
        return found

    async def metrics(self, request: Request) -> Response:
        text = self._service.counters.text()
        return Response(text, media_type="text/plain; version=0.0.4")

    def _check_model(self, request: Request) -> None:
        name = self._service.signature.name
        if request.path_params["model"] != name or request.path_params.get("version", VERSION) != VERSION:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no such model; here is {name}, version {VERSION}")


def _is_small(body: bytes, header_length: str | None) -> bool:
    """Whether the JSON of a request is, however many bytes of tensors follow it."""
    return len(body) <= SMALL or (header_length is not None and len(header_length) <= 4)


def _is_light(outputs: Outputs) -> bool:
    """Whether an answer has few values: scores, and not maps."""
    return sum(values.size for values in outputs.values()) <= MANY


def _json(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document, allow_nan=False), media_type="application/json")


async def _problem(_: Request, error: ProblemError) -> Response:
    return error.response()


async def _refused(_: Request, error: HTTPException) -> Response:
    answer = ProblemError(HTTPStatus(error.status_code), str(error.detail)).response()
    answer.headers.update(error.headers or {})
    return answer


async def _failed(_: Request, error: Exception) -> Response:
    told = "this is a mistake of the server; its log has more"
    return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, told).response()
