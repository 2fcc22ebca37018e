"""What a client is told about a request that is not answered: problem details (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

RETRY_AFTER = 1
"""Seconds after which a client may try again."""
LONGEST = 300
"""Characters of a detail: what a request holds is not sent back at any length."""


class ProblemError(Exception):
    """A request that is answered with an error: `status` as HTTP has it, `detail` as one line for people."""

    def __init__(self, status: HTTPStatus, detail: str, retry: bool = False) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail if len(detail) <= LONGEST else f"{detail[:LONGEST]}..."
        self.retry = retry
        """Whether the same request may succeed later."""

    def as_dict(self) -> dict[str, Any]:
        """The document. `error` is where clients of the Open Inference Protocol look for the detail."""
        return {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "error": self.detail,
        }

    def response(self) -> Response:
        """The answer, with `Retry-After` where it is worth while."""
        headers = {"Retry-After": str(RETRY_AFTER)} if self.retry else {}
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return Response(json.dumps(self.as_dict()), self.status, headers, media_type="application/problem+json")


def bad(detail: str) -> ProblemError:
    """A request that is malformed."""
    return ProblemError(HTTPStatus.BAD_REQUEST, detail)
