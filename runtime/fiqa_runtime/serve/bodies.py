"""The bodies of requests: read within their limits, and the one picture in a form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from fiqa_runtime.serve.limits import HELD, Limits
from fiqa_runtime.serve.problems import ProblemError, bad

FORM = b"multipart/form-data"


class Bodies:
    """Reads bodies, and keeps count of what all of them hold. For use in one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held = 0
        """Bytes of all bodies."""

    @asynccontextmanager
    async def body_of(self, request: Request) -> AsyncIterator[bytes]:
        """The body of `request`, which counts as held until the block ends.

        Raises ProblemError: 408 where it does not come in time, 413 where it is too long, 415 where it is compressed,
        429 where others hold too much, 400 where the client leaves.
        """
        if request.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
            raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "bodies are not decompressed here; send it as it is")
        if int(request.headers.get("content-length", "0")) > self._limits.body:
            raise self._too_long()
        chunks: list[bytes] = []
        try:
            await asyncio.wait_for(self._read(request, chunks), self._limits.seconds)
            yield b"".join(chunks)
        except asyncio.TimeoutError as error:
            told = f"the body did not come within {self._limits.seconds:g} seconds"
            raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, told) from error
        except ClientDisconnect as error:
            raise bad("the connection was closed before the body had come") from error
        finally:
            self.held -= sum(map(len, chunks))

    async def _read(self, request: Request, chunks: list[bytes]) -> None:
        taken = 0
        async for chunk in request.stream():
            taken += len(chunk)
            if taken > self._limits.body:
                raise self._too_long()
            if self.held + len(chunk) > HELD * self._limits.body:
                raise ProblemError(
                    HTTPStatus.TOO_MANY_REQUESTS, "other requests hold all the memory for bodies", retry=True
                )
            chunks.append(chunk)
            self.held += len(chunk)

    def _too_long(self) -> ProblemError:
        megabytes = self._limits.body / (1 << 20)
        return ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {megabytes:g} MB")


def picture_in(content_type: str, body: bytes) -> bytes:
    """The bytes of a picture: the whole `body`, or the only part of a form.

    Raises ProblemError where a form has more parts, or is damaged.
    """
    kind, options = parse_options_header(content_type)
    if kind.lower() != FORM:
        return body
    boundary = options.get(b"boundary")
    if not boundary:
        raise bad("the form has no boundary in its Content-Type")
    parts: list[bytearray] = []
    ended: list[bool] = []

    def grow(data: bytes, start: int, end: int) -> None:
        parts[-1].extend(data[start:end])

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": lambda: parts.append(bytearray()),
                "on_part_data": grow,
                "on_end": lambda: ended.append(True),
            },
        )
        parser.write(body)
        parser.finalize()
    except ValueError as error:
        raise bad("the form is malformed") from error
    if not ended:
        raise bad("the form is cut short")
    if len(parts) != 1:
        raise bad(f"the form has {len(parts)} parts; send one picture with each request")
    return bytes(parts[0])
