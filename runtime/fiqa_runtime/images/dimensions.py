"""Width and height of an image file, read from its header: so a small file that decodes to gigabytes is refused first.

Sources: the PNG specification (IHDR), ITU-T T.81 (JPEG's frame headers), the WebP container specification, Netpbm's
formats, Microsoft's BITMAPINFOHEADER, TIFF 6.0, ISO/IEC 15444-1 (JPEG 2000), ISO/IEC 23008-12 (AVIF's boxes).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

Size = tuple[int, int]
"""Width, height in pixels."""
COMMON = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM")
"""How JPEG, PNG and BMP begin; WebP has its name behind a length."""


def common_size(data: bytes) -> Size | None:
    """:func:`image_size` of a JPEG, PNG, WebP or BMP; None for others, which strangers had better not send: the size in
    their headers need not be the one that is decoded."""
    return image_size(data) if data.startswith(COMMON) or data[8:12] == b"WEBP" else None


def image_size(data: bytes) -> Size | None:
    """What the header of an encoded image says; None for another format, and where the header is damaged."""
    if data[4:8] == b"ftyp":
        return _avif(data)
    for start, read in _READERS.items():
        if data.startswith(start):
            try:
                return read(data)
            except (struct.error, ValueError, IndexError):
                return None
    return None


def _png(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg(data: bytes) -> Size | None:
    """Of the frame header, SOF0 to SOF15; the segments before it are stepped over by their length."""
    at = 2
    while at < len(data):
        if data[at] != 0xFF:
            raise ValueError("no marker")
        marker = data[at + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD9:
            at += 1 if marker == 0xFF else 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int(struct.unpack_from("<I", data, 21)[0])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _bmp(data: bytes) -> Size:
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _netpbm(data: bytes) -> Size | None:
    text = re.sub(rb"#[^\n]*", b"", data[:4096])
    numbers = re.match(rb"P[1-6]\s+(\d{1,10})\s+(\d{1,10})\s", text)
    return (int(numbers[1]), int(numbers[2])) if numbers else None


def _tiff(data: bytes) -> Size | None:
    """Of the first picture in the file."""
    order = "<" if data.startswith(b"II") else ">"
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    sides = {}
    for entry in range(count):
        tag, kind = struct.unpack_from(f"{order}HH", data, at + 2 + 12 * entry)
        if tag in (256, 257):
            (sides[tag],) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", data, at + 10 + 12 * entry)
    return (sides[256], sides[257]) if len(sides) == 2 else None


def _jpeg_2000(data: bytes) -> Size:
    """Of the image header box, which stands among the first."""
    height, width = struct.unpack_from(">II", data, data.index(b"ihdr", 0, 4096) + 4)
    return width, height


def _avif(data: bytes) -> Size | None:
    """The largest extent that any part of the picture has (boxes `ispe`); parts are tiles, thumbnails, alpha."""
    found = [struct.unpack(">II", extent) for extent in re.findall(rb"ispe\0{4}(.{8})", data[: 1 << 16], re.DOTALL)]
    return max(found, key=lambda size: size[0] * size[1]) if found else None


_READERS: dict[bytes, Callable[[bytes], Size | None]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8": _jpeg,
    b"RIFF": _webp,
    b"BM": _bmp,
    b"\0\0\0\x0cjP  ": _jpeg_2000,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    **{f"P{number}".encode(): _netpbm for number in range(1, 7)},
}
