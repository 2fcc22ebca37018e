"""Adaptive averaging is what PyTorch's is, of whole pictures and of any part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.images.preprocess import prepare
from fiqa_runtime.images.resample import AreaSums, area_resize
from fiqa_runtime.images.seeded import seeded_image


def in_torch(image: np.ndarray, height: int, width: int) -> np.ndarray:
    planes = torch.from_numpy(np.ascontiguousarray(image)).double().permute(2, 0, 1)[None]
    return np.asarray(torch.nn.functional.adaptive_avg_pool2d(planes, (height, width))[0].permute(1, 2, 0))


@pytest.mark.parametrize("size", [(24, 24), (7, 61), (1, 1), (37, 53), (80, 90)])
def test_a_whole_picture(size: tuple[int, int]) -> None:
    image = seeded_image(0, 37, 53)
    np.testing.assert_allclose(area_resize(image, *size), in_torch(image, *size), atol=1e-4, rtol=0)


@pytest.mark.parametrize("part", [(0, 0, 37, 53), (3, 5, 4, 6), (10, 0, 37, 20), (36, 52, 37, 53)])
def test_a_part_of_a_picture(part: tuple[int, int, int, int]) -> None:
    image = seeded_image(1, 37, 53)
    top, left, bottom, right = part
    found = AreaSums(image).resized(24, 24, top, left, bottom, right)
    np.testing.assert_allclose(found, in_torch(image[top:bottom, left:right], 24, 24), atol=1e-4, rtol=0)


def test_the_network_input_of_a_crop_of_another_size() -> None:
    spec, crop = MODELS["mtcnn-r"].input, seeded_image(2, 60, 50)
    wanted = (in_torch(crop, 24, 24)[:, :, ::-1].transpose(2, 0, 1) - 127.5) / 128
    np.testing.assert_allclose(prepare([crop], spec)[0], wanted, atol=1e-5, rtol=0)
