"""In front of every route: who may ask, what is counted, and the headers that every answer has."""

from __future__ import annotations

import asyncio
import hmac
import time
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fiqa_runtime.serve.counters import Counters
from fiqa_runtime.serve.limits import Limits
from fiqa_runtime.serve.pages import FILES
from fiqa_runtime.serve.problems import ProblemError

OPEN = frozenset(("/", "/v2/health/live", "/v2/health/ready", *(f"/{name}" for name in FILES)))
"""Answered without a token: the page, which then asks for it, and what a supervisor looks at."""
LINGER = 2.0
"""Seconds in which the rest of a body is read that nobody wants."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Gate:
    """Lets requests through to `app`.

    With a `token`, a request needs it as `Authorization: Bearer`. Without one, a page of another origin is refused, as
    a browser would let it send photos here; and where only this machine can ask (`local`), so is a request for another
    host name, by which such a page could pass for one of ours (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, counters: Counters, limits: Limits, token: str | None, local: bool) -> None:
        self._app = app
        self._limits = limits
        self._counters = counters
        self._token = None if token is None else token.encode()
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        start = time.perf_counter()
        headers = Headers(scope=scope)
        status, whole = 0, False

        async def noted() -> Message:
            nonlocal whole
            message = await receive()
            whole = not message.get("more_body", False)
            return message

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status >= HTTPStatus.BAD_REQUEST and not whole and _closes(headers):
                    await _discard(noted, self._limits)
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(headers, str(scope["path"]))
        try:
            await (self._app if refusal is None else refusal.response())(scope, noted, counted)
        finally:
            route = getattr(scope.get("endpoint"), "__name__", "none")
            self._counters.count_answer(route, status, time.perf_counter() - start)

    def _refusal(self, headers: Headers, path: str) -> ProblemError | None:
        if self._token is not None:
            if path in OPEN or self._has_token(headers.get("authorization", "")):
                return None
            return ProblemError(HTTPStatus.UNAUTHORIZED, "a token is needed: Authorization: Bearer TOKEN")
        host = headers.get("host", "")
        if self._local and not is_own(_name(host)):
            return ProblemError(
                HTTPStatus.MISDIRECTED_REQUEST, "this server answers for localhost alone; give it a token"
            )
        origin = headers.get("origin")
        if origin is not None and _place(origin) != host:
            return ProblemError(HTTPStatus.FORBIDDEN, "pages of other origins may not ask; give the server a token")
        return None

    def _has_token(self, given: str) -> bool:
        kind, _, token = given.partition(" ")
        known = self._token or b""
        return hmac.compare_digest(token.strip().encode("utf-8", "surrogateescape"), known) & (kind.lower() == "bearer")


def _closes(headers: Headers) -> bool:
    """Whether the connection is closed after the answer, and its body is under way."""
    return headers.get("connection", "").lower() == "close" and "expect" not in headers


async def _discard(receive: Receive, limits: Limits) -> None:
    """Read the rest of a body that nobody wants, within limits: a connection that is closed before it has come is
    reset, and the answer may be lost."""

    async def read() -> None:
        taken, more = 0, True
        while more and taken <= limits.body:
            message = await receive()
            taken += len(message.get("body", b""))
            more = message.get("more_body", False)

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(read(), LINGER)


def is_own(name: str) -> bool:
    """Whether `name` is what a machine calls itself: localhost, or an address that no other machine reaches."""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """The name in a Host header, without its port; empty where it is damaged."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _place(origin: str) -> str:
    """The host and port of an origin, as a Host header has them; empty for `null` and where it is damaged."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
