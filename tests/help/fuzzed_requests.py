"""Requests that are almost right: always the same one for a number."""

from __future__ import annotations

import json
import random
import select
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
from fiqa_runtime.images.seeded import seeded_image

from tests.help.limits import HANGS
from tests.help.servers.served import picture

MODEL = "/v2/models/ediffiqa-t-fp32"
PATHS = (
    *("/", "/v2", "/v2/health/live", "/v2/health/ready", "/faces", "/metrics", "/%00", "/\xff", "*", "//", ""),
    *(MODEL, f"{MODEL}/ready", f"{MODEL}/infer", f"{MODEL}/versions/1", f"{MODEL}/versions/../infer"),
    *("/faces?url=http://127.0.0.1/", "/faces?path=/etc/passwd"),
)
METHODS = ("GET", "POST", "POST", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "TRACE", "CONNECT", "get", "\x00")
VALUES = ("", "0", "1", "-1", "9" * 30, "NaN", "chunked", "gzip", "x" * 9000, "é", '"', "100-continue", "close")
HEADERS = (
    *("Content-Length", "Transfer-Encoding", "Content-Type", "Content-Encoding", "Inference-Header-Content-Length"),
    *("Expect", "Host", "Connection", "Upgrade", "Authorization", "Origin", "Accept-Encoding", "Range", "Cookie"),
)
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 2**70, "", "x" * 300, "\ud800", "UINT8", "BYTES"),
    *([], [[]], {}, [None], {"a": []}),
)
ENOUGH = 0.05
"""Seconds in which most answers to damaged requests come; then the connection is closed from this side."""
Change = Callable[[random.Random, bytes], bytes]


def fuzzed_request(number: int) -> tuple[bytes, bool]:
    """The bytes of one request, and whether they are whole as HTTP has it, whatever its body holds."""
    rng = random.Random(number)
    path, headers, body = rng.choice((_infer_json, _infer_bytes, _photo, _form, _other))(rng)
    if rng.random() < 0.5:
        body = rng.choice(CHANGES)(rng, body)
    headers = {"Host": "localhost", "Content-Length": str(len(body)), "Connection": "close", **headers}
    whole = rng.random() < 0.7
    if not whole and rng.random() < 0.5:
        headers[rng.choice(HEADERS)] = rng.choice(VALUES)
    method = "POST" if whole else rng.choice(METHODS)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    data = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogatepass") + body
    return (data, True) if whole else (rng.choice((*CHANGES, _same))(rng, data), False)


def send(place: str, data: bytes, whole: bool) -> bytes:
    """Send `data`; what the server answers until it closes the connection. What is not `whole` has an end here too."""
    host, port = place.split(":")
    with socket.create_connection((host, int(port)), HANGS) as client:
        parts = []
        try:
            client.sendall(data)
            if not whole:
                select.select([client], [], [], ENOUGH)
                client.shutdown(socket.SHUT_WR)
            while part := client.recv(1 << 16):
                parts.append(part)
        except OSError:  # it was reset
            pass
        return b"".join(parts)


def status_of(answer: bytes) -> int:
    """The status of the first answer; 0 where there is none."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0


def _infer_json(rng: random.Random) -> tuple[str, dict[str, str], bytes]:
    side = rng.choice((112, 112, 111))
    data = seeded_image(rng.randrange(4), side, side).ravel().tolist()
    entry: dict[str, Any] = {"name": "input", "datatype": "UINT8", "shape": [1, side, side, 3], "data": data}
    output: dict[str, Any] = {"name": "score"}
    document: dict[str, Any] = {"id": "1", "inputs": [entry], "outputs": [output], "parameters": {}}
    if rng.random() < 0.7:
        place = rng.choice((entry, document, output))
        place[rng.choice((*place, "parameters", "file"))] = rng.choice(ODD)
    return f"{MODEL}/infer", {}, json.dumps(document).encode()


def _infer_bytes(rng: random.Random) -> tuple[str, dict[str, str], bytes]:
    count = rng.choice((1, 2, 5, 33))
    crops = np.stack([seeded_image(index % 4, 112, 112) for index in range(count)])
    size = crops.nbytes + rng.choice((0, 0, 0, 1, -1))
    known = {"binary_data_size": size}
    entry = {"name": "input", "datatype": "UINT8", "shape": list(crops.shape), "parameters": known}
    text = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": rng.random() < 0.5}}).encode()
    length = len(text) + rng.choice((0, 0, 0, 1, -1))
    return f"{MODEL}/infer", {"Inference-Header-Content-Length": str(length)}, text + crops.tobytes()


def _photo(rng: random.Random) -> tuple[str, dict[str, str], bytes]:
    height, width = rng.choice(((96, 128), (1, 1), (1, 3000), (300, 2), (64, 64)))
    return "/faces", {}, picture(rng.choice((".png", ".jpg", ".webp", ".bmp")), rng.randrange(4), height, width)[0]


def _form(rng: random.Random) -> tuple[str, dict[str, str], bytes]:
    _, _, data = _photo(rng)
    part = b'--XYZ\r\nContent-Disposition: form-data; name="image"; filename="../../x"\r\n\r\n' + data + b"\r\n"
    return "/faces", {"Content-Type": "multipart/form-data; boundary=XYZ"}, part * rng.choice((1, 1, 0, 2)) + b"--XYZ--"


def _other(rng: random.Random) -> tuple[str, dict[str, str], bytes]:
    return rng.choice(PATHS), {}, rng.randbytes(rng.choice((0, 1, 100)))


def _same(_: random.Random, data: bytes) -> bytes:
    return data


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flip(rng: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 10)) if data else 0):
        found[rng.randrange(min(len(found), rng.choice((64, 512, 1 << 20))))] = rng.randrange(256)
    return bytes(found)


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(min(len(data), 1000) + 1)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 50))) + data[at:]


def _double(rng: random.Random, data: bytes) -> bytes:
    return data + data


CHANGES: tuple[Change, ...] = (_cut, _flip, _flip, _insert, _double)
