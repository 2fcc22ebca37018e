"""``POST /faces``: photos as bodies and as forms, scores equal to those of FaceQuality."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.samples.one_face import OneFace
from tests.help.servers.served import PATIENT, ask, picture, served, service_for

FORM = "multipart/form-data; boundary=XYZ"
PART = b'--XYZ\r\nContent-Disposition: form-data; name="image"; filename="/etc/passwd"\r\n\r\n'
END = b"\r\n--XYZ--\r\n"
SIDE = 200
"""Largest picture of the strict server, on a side."""


@pytest.fixture(scope="module")
def strict(scorer: Scorer) -> Iterator[str]:
    """A server that takes small pictures only."""
    with service_for(scorer, replace(PATIENT, pixels=SIDE * SIDE, body=50_000)) as service, served(service) as found:
        yield found


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_faces_are_those_of_face_quality(place: str, scorer: Scorer, suffix: str) -> None:
    data, image = picture(suffix)
    answer = ask(place, "/faces", data)
    expected = [face.as_dict() for face in FaceQuality(scorer, OneFace()).assess(image)]
    assert answer.status == 200 and answer.json == {
        "model": "ediffiqa-t",
        "precision": "fp32",
        "higher_is_better": True,
        "width": 128,
        "height": 96,
        "faces": expected,
    }


def test_a_form_with_one_picture(place: str) -> None:
    data, _ = picture()
    answer = ask(place, "/faces", PART + data + END, content_type=FORM)
    assert answer.status == 200 and answer.json == ask(place, "/faces", data).json


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (PART + b"a" + b"\r\n" + PART + b"b" + END, FORM, "has 2 parts"),
        (b"--XYZ--\r\n", FORM, "the form"),
        (PART + b"a", FORM, "cut short"),
        (b"hello", FORM, "the form"),
        (PART + b"a" + END, "multipart/form-data", "no boundary"),
        (PART + b"a" + END, "multipart/form-data; boundary=" + "x" * 999, "malformed"),
    ],
)
def test_other_forms_are_refused(place: str, body: bytes, kind: str, said: str) -> None:
    assert ask(place, "/faces", body, content_type=kind).is_problem(400, said)


def test_orientation_is_applied(place: str) -> None:
    data, _ = picture(".jpg")
    tags = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    app1 = b"\xff\xe1" + struct.pack(">H", 2 + 6 + len(tags)) + b"Exif\0\0" + tags
    turned = ask(place, "/faces", data[:2] + app1 + data[2:]).json
    assert (turned["width"], turned["height"]) == (96, 128)


def test_what_is_no_photo_is_refused(place: str) -> None:
    data, _ = picture(".jpg")
    assert ask(place, "/faces", b"").is_problem(415, "not a JPEG, PNG, WebP or BMP")
    for body in (b"hello", b"GIF89a" + bytes(99), b"http://127.0.0.1/photo.jpg", b"/etc/passwd", b"\xff\xd8\xff"):
        assert ask(place, "/faces", body).is_problem(415, "not a JPEG, PNG, WebP or BMP")
    assert ask(place, "/faces", picture(".tiff")[0]).is_problem(415)
    assert ask(place, "/faces", data[: len(data) // 2]).is_problem(422, "the picture is")
    assert ask(place, "/faces", picture()[0][:200]).is_problem(422, "damaged")


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that decodes to so many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_size_is_limited_before_anything_is_decoded(strict: str) -> None:
    assert ask(strict, "/faces", bomb(SIDE, SIDE)).status == 200
    assert ask(strict, "/faces", bomb(SIDE, SIDE + 1)).is_problem(413, "200 x 201 pixels, more than 40,000")
    assert ask(strict, "/faces", bytes(50_001)).is_problem(413, "larger than 0.0476837 MB")
    assert ask(strict, "/faces", bytes(50_000)).is_problem(415)


class Several(OneFace):
    """Finds what it is told to: no face, one whose crop cannot be made, or both kinds."""

    def __init__(self, good: int, bad: int) -> None:
        self._counts = good, bad

    def detect(self, image: Image) -> list[Detection]:
        good, bad = self._counts
        face = super().detect(image)[0]
        flat = Detection(face.box, np.zeros((5, 2), np.float32), 0.5)
        return [face] * good + [flat] * bad


def test_photos_without_faces_and_with_faces_that_cannot_be_cut_out(scorer: Scorer) -> None:
    data, image = picture()
    for good, bad in ((0, 0), (2, 1), (0, 1)):
        finder = Several(good, bad)
        with service_for(scorer, finder=finder) as service, served(service) as place:
            answer = ask(place, "/faces", data)
        if good or not bad:
            told = answer.json
            assert answer.status == 200 and len(told["faces"]) == good
            assert ("left_out" in told) == bool(bad) and "1 of 3" in told.get("left_out", "1 of 3")
        else:
            with pytest.raises(InputError) as error:
                FaceQuality(scorer, finder).assess(image)
            assert answer.is_problem(422, str(error.value)[:300])


def test_no_method_but_post(place: str) -> None:
    answer = ask(place, "/faces")
    assert answer.is_problem(405) and answer.headers["allow"] == "POST"
