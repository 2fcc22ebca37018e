"""Sends each best picture to an address, beside the stream and never in its way."""

from __future__ import annotations

import base64
import json
import time
from http.client import HTTPException
from queue import Empty, Full, Queue
from threading import Event as Signal
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.watch_command.losses import Losses
from fiqa_runtime.watch_command.pictures import encode

WAITING = 64
"""Calls that wait at most; where more come, the newest is lost."""
WAITS = (1.0, 2.0, 4.0)
"""Seconds before a call is tried again; after the last one it is lost."""
TIMEOUT = 5.0
"""Seconds for one try."""
AT_THE_END = 10.0
"""Seconds for which the end of the stream waits for calls that are still under way."""
Call = dict[str, Any]


class Webhook:
    """POSTs JSON: the line of a best event, and its picture as JPEG in base64 under `picture`."""

    def __init__(self, address: str, losses: Losses, waits: tuple[float, ...] = WAITS) -> None:
        """Raises InputError for what is not an address of HTTP."""
        if not address.lower().startswith(("http://", "https://")):
            raise InputError(f"--webhook {address} is not an address; write it as https://host/path")
        self._address, self._losses, self._waits = address, losses, waits
        self._queue: Queue[Call] = Queue(WAITING)
        self._closing = Signal()
        self._thread = Thread(target=self._run, name="fiqa-webhook", daemon=True)
        self._thread.start()
        self.sent = 0

    def send(self, line: Call, picture: Image | None) -> None:
        """Put one call in the queue; returns at once."""
        data = {} if picture is None else {"picture": base64.b64encode(encode(picture)).decode()}
        try:
            self._queue.put_nowait({**line, **data})
        except Full:
            self._losses.lost("call", f"{WAITING} calls of the webhook are waiting already")

    def close(self, seconds: float = AT_THE_END) -> None:
        """Wait for the calls that are under way, for `seconds` at most; the rest is lost."""
        self._closing.set()
        self._thread.join(seconds)
        while True:
            try:
                self._queue.get_nowait()
            except Empty:
                return
            self._losses.lost("call", "the stream is over, and the webhook does not answer")

    def _run(self) -> None:
        while True:
            try:
                call = self._queue.get(timeout=0.1)
            except Empty:
                if self._closing.is_set():
                    return
                continue
            self._deliver(json.dumps(call, allow_nan=False).encode())

    def _deliver(self, body: bytes) -> None:
        request = Request(self._address, body, {"Content-Type": "application/json"})
        for wait in (*self._waits, None):
            try:
                with urlopen(request, timeout=TIMEOUT):
                    self.sent += 1
                    self._losses.kept("call")
                    return
            except HTTPError as error:
                why = f"the webhook answers {error.code}"
                if error.code < 500 and error.code not in (408, 429):
                    wait = None  # it will say the same again
            except (OSError, HTTPException, ValueError) as error:
                why = f"the webhook cannot be reached: {getattr(error, 'reason', error)}"
            if wait is None:
                break
            time.sleep(wait)
        self._losses.lost("call", why)
