"""Whether a JPEG file holds all of its picture: decoders fill what is missing with grey, or leave it coarse, silently.

    image = decode_jpeg(data)                   # raises ValueError with the reason

The headers show scans that are missing. A scan that ends too early the decoder itself shows: bytes behind it change
nothing in a picture that is complete, since nobody reads them, and become part of one that is not. So a picture that
looks as if something were missing is decoded again, with such bytes. A large sequential one looks so where a corner is
plain grey, a progressive and a small one where libjpeg says on stderr that data end too early. That is exact, but one
thread at a time can listen, and it may hear of a file that another thread decodes.

Source: ITU-T T.81 (markers, frame and scan headers, progressive mode).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.system.overhear import overhear

START = b"\xff\xd8\xff"
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""Neither a stuffed byte of a scan nor a restart marker, which both belong to the scan around them."""
_SCAN, _END, _LONE = 0xDA, 0xD9, 0x01
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_COMPLAINT = re.compile(rb"Corrupt JPEG data")
_ENDS_EARLY = re.compile(rb"premature end of data segment")
"""What libjpeg says where it wanted more bits than the scan has."""
_COEFFICIENTS = 64
_GREY = 128
_SMALL = 1 << 16
"""Pixels of a picture in which one block of 16 x 16 counts, and which is decoded in no time."""
_ENDS = "only a part of a JPEG: its data end before its picture does"
_FILLS = tuple(
    hashlib.shake_128(b"any bytes %d" % number).digest(64).replace(b"\xff", b"\x7f").replace(b"\x00", b"\x55")
    for number in range(8)
)
"""Bytes of which none is a marker. Of a picture that lacks its last bits alone, some of them may give the same one."""


@dataclass(frozen=True)
class Scan:
    """One scan header: which coefficients of which components it brings, and how exactly."""

    components: tuple[int, ...]
    first: int
    """First coefficient, 0 to 63 in zigzag order."""
    last: int
    """Last coefficient."""
    cut_bits: int
    """Lowest bits of the coefficients that a later scan has to bring."""


@dataclass(frozen=True)
class Layout:
    """The segments of a JPEG file, up to its own end marker."""

    kind: int
    """Its frame header's marker, 0xC0 to 0xCF; 0 where there is none."""
    pixels: int
    """Width times height, as the frame header says."""
    components: tuple[int, ...]
    """Identifiers of the components in the frame."""
    scans: tuple[Scan, ...]
    begin: int
    """Where the data of the last scan begin in the file."""
    end: int
    """Where they end."""

    def missing(self) -> str:
        """What no scan brings, in words; empty where nothing is missing or the kind of JPEG is not known here."""
        if self.kind not in (*_SEQUENTIAL, _PROGRESSIVE):
            return ""
        if self.kind == _PROGRESSIVE:
            whole = not any(bits for all_bits in self._kept_back().values() for bits in all_bits)
        else:
            whole = {*self.components} <= {each for scan in self.scans for each in scan.components}
        return "" if whole else f"its {len(self.scans)} scans do not bring all of the picture"

    def _kept_back(self) -> dict[int, list[int]]:
        """Of a progressive picture, by component: how many of the lowest bits of each coefficient no scan brings."""
        kept_back = {component: [_COEFFICIENTS] * _COEFFICIENTS for component in self.components}
        for scan in self.scans:
            for component in scan.components:
                if component in kept_back:
                    kept_back[component][scan.first : scan.last + 1] = [scan.cut_bits] * (scan.last + 1 - scan.first)
        return kept_back

    @property
    def is_small(self) -> bool:
        """Whether it is a small sequential picture of one scan, as almost all crops are."""
        return self.kind in _SEQUENTIAL and self.pixels <= _SMALL and len(self.scans) == 1

    def looks_cut(self, image: Image) -> bool:
        """Whether the decoded sequential `image` may lack something that only :meth:`continued` can show.

        A sequential JPEG of one scan that ends too early is plain grey up to its last corner, wherever EXIF turns that,
        unless it ends in its last block.
        """
        if self.kind not in _SEQUENTIAL:
            return False
        if len(self.scans) > 1 or len(self.components) > 3 or image.shape[0] * image.shape[1] <= _SMALL:
            return True
        return bool((image[:: len(image) - 1 or 1, :: image.shape[1] - 1 or 1] == _GREY).all(axis=-1).any())

    def continued(self, data: bytes, fills: Sequence[bytes] = _FILLS[:1]) -> list[bytes]:
        """The file `data` up to the end of its last scan, and then one of `fills` that goes on with it.

        In a sequential file they come without an end marker, before which libjpeg would complain of bytes too many;
        where there are restart markers, once behind the last interval, and once behind the marker that would come next.
        A progressive file is not decoded without its end marker.
        """
        scanned = data[: self.end].rstrip(b"\xff")  # with which any byte would be a marker
        if self.kind == _PROGRESSIVE:
            markers = [bytes([0xFF, marker]) for marker in range(0xD0, 0xD8)]
            return [scanned + fill.join([b"", *markers, b""]) + data[self.end :] for fill in fills]
        restarts = len(_RESTART.findall(data, self.begin, self.end))
        markers = [b"", bytes([0xFF, 0xD0 + restarts % 8])] if restarts else [b""]
        return [scanned + marker + fill for marker in markers for fill in fills]


def read_layout(data: bytes) -> Layout | None:
    """The layout of the first picture in `data`; None where it has no end marker of its own.

    Segments are stepped over by their length, so that the end marker of an embedded thumbnail does not count;
    whatever follows the picture is allowed.
    """
    kind, pixels, begin, end = 0, 0, 0, 0
    components: tuple[int, ...] = ()
    scans: list[Scan] = []
    position = len(START) - 1
    behind_scan = False
    while marker := _MARKER.search(data, position):
        code = marker[1][0]
        if behind_scan:
            end, behind_scan = marker.start(), False
        if code == _END:
            return Layout(kind, pixels, components, tuple(scans), begin, end)
        position = marker.end()
        if code == _LONE:
            continue
        segment = data[position : position + int.from_bytes(data[position : position + 2], "big")]
        position += len(segment)
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            kind, components = code, tuple(segment[8:][: 3 * segment[7] : 3]) if len(segment) > 7 else ()
            pixels = int.from_bytes(segment[3:5], "big") * int.from_bytes(segment[5:7], "big")
        elif code == _SCAN:
            scans.append(_scan(segment))
            begin, behind_scan = position, True
    return None


def _scan(segment: bytes) -> Scan:
    count = segment[2] if len(segment) > 2 else 0
    components = tuple(segment[3:][: 2 * count : 2])
    first, last, bits = (*segment[3 + 2 * count :][:3], 0, 0, 0)[:3]
    return Scan(components, min(first, 63), min(last, 63), bits & 0xF)


def decode_jpeg(data: bytes) -> Image | None:
    """The picture in a JPEG file as uint8 BGR (H, W, 3); None where OpenCV does not decode it.

    Raises ValueError, whose text goes on a sentence about the file, where a part of the picture is missing.
    """
    layout = read_layout(data)
    if layout is None:
        raise ValueError("cut short: its JPEG end marker is missing")
    if missing := layout.missing():
        raise ValueError(f"only a part of a JPEG: {missing}")
    if layout.is_small and _hears():
        with overhear(_ENDS_EARLY) as heard:
            image = _decode(data)
        if image is not None and heard and not _is_complete(image, layout.continued(data, _FILLS)):
            raise ValueError(_ENDS)
        return image
    if layout.kind == _PROGRESSIVE:
        with overhear(_COMPLAINT) as heard:
            image = _decode(data)
        looks_cut = bool(heard) or not _hears()
    else:
        image = _decode(data)
        looks_cut = image is not None and layout.looks_cut(image)
    if image is not None and looks_cut and not _is_complete(image, layout.continued(data)):
        raise ValueError(_ENDS)
    return image


def _is_complete(image: Image, continued: list[bytes]) -> bool:
    """Whether no one of the files `continued` is another picture than `image`."""
    with overhear(_COMPLAINT):
        others = [_decode(data) for data in continued]
    return all(other is not None and np.array_equal(image, other) for other in others)


def _decode(data: bytes) -> Image | None:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


@cache
def _hears() -> bool:
    """Whether libjpeg's complaints reach this process; where its stderr is another one than ours, they do not."""
    whole = cv2.imencode(".jpg", np.arange(4096, dtype=np.uint8).reshape(64, 64) * 7)[1].tobytes()
    with overhear(_COMPLAINT) as heard:
        _decode(whole[: len(whole) * 3 // 4] + b"\xff\xd9")
    return bool(heard)
