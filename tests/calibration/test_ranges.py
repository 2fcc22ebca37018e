"""Histograms of magnitudes, the four ways to read a range from them, and measuring a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fiqa_calibration import activations
from fiqa_calibration.activations import measure
from fiqa_calibration.histogram import BINS, METHODS, Histogram
from fiqa_runtime.errors import ArtefactError, InputError

from tests.help.samples.onnx_graphs import node, save_graph

RNG = np.random.default_rng(4)


def filled(*parts: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part.astype(np.float32))
    return histogram


def squared_error(values: np.ndarray, largest: float) -> float:
    step = largest / 127
    return float(np.mean((np.clip(np.rint(values / step), -128, 127) * step - values) ** 2))


def test_counts_do_not_depend_on_the_order_of_the_images() -> None:
    small, large = RNG.standard_normal(1000), 100 * RNG.standard_normal(1000)
    one, other = filled(small, large), filled(large, small)
    assert one.limit == other.limit
    assert one.largest == other.largest == np.abs(large.astype(np.float32)).max()
    assert one.counts.sum() == 2000
    assert np.abs(np.cumsum(one.counts) - np.cumsum(other.counts)).max() <= 2


def test_limit_leaves_enough_bins_per_step() -> None:
    for largest in (1e-6, 0.9, 1.0, 1.1, 3e5):
        histogram = filled(np.array([largest]))
        assert histogram.limit / 2 < np.float32(largest) <= histogram.limit
        assert histogram.counts.size == BINS


def test_values_next_to_nothing_are_counted() -> None:
    histogram = filled(np.array([0.0, 1e-38, 1e-36]))
    assert histogram.counts.sum() == 3
    assert histogram.largest == np.float32(1e-36)


def test_minmax_takes_everything_and_percentile_leaves_the_rarest_out() -> None:
    values = np.append(np.linspace(0, 1, 100_000), 1000.0)
    histogram = filled(values)
    assert METHODS["minmax"](histogram) == 1000.0
    assert 0.9 < METHODS["percentile"](histogram) < 1.5


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_rare_large_values_are_cut_off(method: str) -> None:
    """Normal values with a few at 20 standard deviations: cutting those off serves all others."""
    values = np.append(RNG.standard_normal(200_000), [20.0] * 4)
    largest = METHODS[method](filled(values))
    assert 2.5 < largest < 8
    assert squared_error(values[:-4], largest) < 0.3 * squared_error(values[:-4], 20.0)


def test_mse_is_the_best_of_all_thresholds() -> None:
    values = RNG.laplace(size=100_000)
    errors = {m: squared_error(values, f(filled(values))) for m, f in METHODS.items()}
    others = [squared_error(values, t) for t in np.linspace(0.2, 1, 60) * np.abs(values).max()]
    assert errors["mse"] == min(errors.values())
    assert errors["mse"] <= 1.02 * min(others)


@pytest.mark.parametrize("method", METHODS)
def test_evenly_spread_values_keep_their_range(method: str) -> None:
    assert METHODS[method](filled(RNG.uniform(-2, 2, 100_000))) == pytest.approx(2, rel=0.03)


@pytest.mark.parametrize("method", METHODS)
def test_zeros_and_single_values(method: str) -> None:
    assert METHODS[method](filled(np.zeros(10))) == 0
    assert METHODS[method](filled(np.full(10, 3.0))) == pytest.approx(3, rel=1e-3)


def graph(path: Path) -> Path:
    nodes = [node("Neg", "x", "n", name="neg"), node("Exp", "n", "e", name="exp"), node("Relu", "e", name="relu")]
    return save_graph(path, nodes, {}, [1, 2, 2, 2])


def test_network_is_measured_image_by_image(tmp_path: Path) -> None:
    images = [np.full((1, 2, 2, 2), value, np.float32) for value in (1, -2)]
    images[0][0, 1] = 5
    read: list[int] = []

    def feeds() -> object:
        for index, image in enumerate(images):
            read.append(index)
            yield {"x": image}

    found = measure(graph(tmp_path / "g.onnx"), dict.fromkeys(("x", "n", "e"), 1), feeds())  # type: ignore[arg-type]
    assert read == [0, 1]
    assert found["n"].histogram.largest == 5
    assert found["e"].histogram.largest == pytest.approx(np.exp(2))
    np.testing.assert_array_equal(found["x"].channels, [2, 5])


def test_channels_lie_along_the_axis_that_is_named(tmp_path: Path) -> None:
    image = np.zeros((1, 2, 2, 2), np.float32)
    image[0, :, 0, 1] = -3, 7
    found = [measure(graph(tmp_path / "g.onnx"), {"x": axis}, [{"x": image}])["x"].channels for axis in (1, 2, -1)]
    np.testing.assert_array_equal(found, [[3, 7], [7, 0], [0, 7]])


def test_portions_of_tensors_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, image = graph(tmp_path / "g.onnx"), RNG.standard_normal((1, 2, 2, 2)).astype(np.float32)
    whole = measure(path, dict.fromkeys(("x", "n", "e"), 1), [{"x": image}])
    monkeypatch.setattr(activations, "HELD", 1)
    parts = measure(path, dict.fromkeys(("x", "n", "e"), 1), [{"x": image}])
    assert all((whole[name].histogram.counts == parts[name].histogram.counts).all() for name in whole)


def test_network_that_overflows_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="overflows at e"):
        measure(graph(tmp_path / "g.onnx"), {"n": 1, "e": 1}, [{"x": np.full((1, 2, 2, 2), -1000, np.float32)}])


def test_measuring_needs_images_and_known_tensors(tmp_path: Path) -> None:
    path = graph(tmp_path / "g.onnx")
    with pytest.raises(InputError, match="at least one"):
        measure(path, {"n": 1}, [])
    with pytest.raises(InputError, match="no tensor q"):
        measure(path, {"q": 1}, [])
