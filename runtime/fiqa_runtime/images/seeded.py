"""Seeded random streams and test images, version 1 (numpy only).

The rule gives every machine the same pictures from a few integers, so that a card can carry reference scores
that any device re-computes without torch. The score of a seeded image says nothing about faces.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def rng(text: str) -> np.random.Generator:
    """PCG64 generator whose seed is the first 16 bytes of SHA-256 of `text`, little-endian."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")))


def seeded_image(index: int, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Deterministic uint8 BGR image of shape (height, width, 3): 16-pixel colour blocks under fine noise."""
    stream = rng(f"image:{seed}:{index}:{height}x{width}")
    coarse = stream.integers(0, 256, (-(-height // 16), -(-width // 16), 3))
    fine = stream.integers(0, 256, (height, width, 3))
    blocks = coarse.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    return ((3 * blocks + fine) // 4).astype(np.uint8)
