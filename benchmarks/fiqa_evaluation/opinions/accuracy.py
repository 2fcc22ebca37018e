"""Measures how well scores predict people's opinions: correlations and errors with intervals, engines side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.scoring.agreement import NumberOrNaN, Scores, pearson, percentile_interval, score_lists, spearman
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STATISTICS = {
    "srcc": "SRCC",
    "krcc": "KRCC",
    "plcc": "PLCC",
    "plcc_4": "PLCC, 4-parameter logistic",
    "plcc_5": "PLCC, 5-parameter logistic",
    "rmse": "RMSE",
    "rmse_4": "RMSE, 4-parameter logistic",
    "rmse_5": "RMSE, 5-parameter logistic",
}
"""Spearman, Kendall tau-b, Pearson as it is and after a 4- and a 5-parameter logistic, and the root mean
square error in units of the opinion scores, likewise. The step of a logistic may fall, so after a fit PLCC is positive
for reversed scores too: SRCC and the plain PLCC show the direction."""
FEWEST_TO_FIT = 6
SHAPES = ((-5.0, 0.1), (5.0, 50.0))
CENTRES = np.linspace(-3, 3, 25)
SLOPES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True)
class Estimate:
    """A statistic and its percentile bootstrap 95 % interval; NaN where it is undefined."""

    value: NumberOrNaN
    low: NumberOrNaN
    high: NumberOrNaN

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Accuracy:
    """Agreement of several engines with the same mean opinion scores."""

    images: int
    """Number of images that are scored and labelled."""
    resamples: int
    """Number of bootstrap draws for each interval."""
    engines: Mapping[str, Mapping[str, Estimate]]
    """Estimates by engine and by statistic, such as `srcc`."""
    differences: Mapping[str, Mapping[str, Estimate]]
    """For every engine but the first: its statistics minus those of the first engine, over the same draws."""
    notes: tuple[str, ...]
    """What a reader must know, such as constant scores."""

    def __str__(self) -> str:
        lines = [f"{self.images} images, 95 % intervals from {self.resamples} resamples"]
        for name, row in self.engines.items():
            lines.append(f"{name}: " + ", ".join(f"{key} {estimate}" for key, estimate in row.items()))
        return "\n".join(lines + list(self.notes))

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`; undefined numbers become None."""
        data: dict[str, Any] = _without_nan(asdict(self))
        return data


def accuracy(mos: Scores, engines: Mapping[str, Scores], resamples: int = 1000, seed: int = 0) -> Accuracy:
    """Compare the scores (N,) of each engine with the mean opinion scores `mos` (N,), higher better in both.

    Images are drawn with replacement, the same images for every engine. The logistics are fitted once, on all images,
    so the intervals do not include the uncertainty of the fit. The same seed gives the same result. Cost per draw and
    engine: O(N log N). Raises InputError where a list is empty, not finite or of another length, or the opinion scores
    are constant; DependencyError without SciPy.
    """
    _require_scipy()
    if not engines:
        raise InputError("there is no engine to compare with the opinion scores; name at least one")
    target, *lists = score_lists(mos, *engines.values())
    if np.ptp(target) == 0:
        raise InputError("all opinion scores are equal, so no correlation exists; check the label file")
    fits = {name: _EngineFit(scores, target) for name, scores in zip(engines, lists, strict=True)}
    drawn = {name: np.empty((resamples, len(STATISTICS))) for name in engines}
    generator = np.random.default_rng(seed)
    for i in range(resamples):
        index = generator.integers(target.size, size=target.size)
        for name, fit in fits.items():
            drawn[name][i] = fit.statistics(index)
    values = {name: fit.statistics(np.arange(target.size)) for name, fit in fits.items()}
    first = next(iter(engines))
    return Accuracy(
        images=target.size,
        resamples=resamples,
        engines={name: _estimates(values[name], drawn[name]) for name in engines},
        differences={
            name: _estimates(values[name] - values[first], drawn[name] - drawn[first])
            for name in engines
            if name != first
        },
        notes=tuple(f"{name}: {note}" for name, fit in fits.items() for note in fit.notes()),
    )


def logistic_map(scores: Floats, mos: Floats, parameters: Literal[4, 5]) -> Floats:
    """`scores` (N,) on the scale of `mos` (N,) through the logistic that fits best (least squares).

    With four parameters it is a step a * sigmoid(k * (s - c)) + b; with five a line is added, + d * s. The step may
    fall. In units of the standard deviation of the scores, the centre c stays within 5 of their mean and the slope k
    within 0.1..50: for scores that bend one way only, the best step would lie at infinity. The other parameters are
    linear and solved exactly for each (c, k). So only two are searched, from the best centre for each of seven slopes.
    NaN where the scores are constant or fewer than six.
    """
    from scipy.optimize import least_squares
    from scipy.special import expit

    if np.ptp(scores) == 0 or scores.size < FEWEST_TO_FIT:
        return np.full(scores.size, math.nan)
    standard = (scores - scores.mean()) / scores.std()
    line = [np.ones_like(standard), standard][: parameters - 3]

    def mapped(shape: Floats) -> Floats:
        terms = np.stack([expit(shape[1] * (standard - shape[0])), *line], axis=1)
        return np.asarray(terms @ np.linalg.lstsq(terms, mos, rcond=None)[0])

    def residuals(shape: Floats) -> Floats:
        return mapped(shape) - mos

    def cost(shape: Floats) -> float:
        return float(np.sum(residuals(shape) ** 2))

    starts = [min((np.array((c, k)) for c in CENTRES), key=cost) for k in SLOPES]
    ends = [least_squares(residuals, start, bounds=SHAPES).x for start in starts]
    return mapped(min(ends, key=cost))


class _EngineFit:
    """The scores of one engine beside the opinion scores, with the logistics fitted once, on all images."""

    def __init__(self, scores: Floats, mos: Floats) -> None:
        self.mos = mos
        self.scores = scores
        self.predictions = (scores, logistic_map(scores, mos, 4), logistic_map(scores, mos, 5))

    def statistics(self, index: NDArray[np.integer]) -> Floats:
        """The values of STATISTICS on the images `index` (drawn with replacement)."""
        from scipy.stats import kendalltau

        scores, mos = self.scores[index], self.mos[index]
        if np.ptp(mos) == 0:
            return np.full(len(STATISTICS), math.nan)
        tau = math.nan if np.ptp(scores) == 0 else float(kendalltau(scores, mos).statistic)
        predictions = [prediction[index] for prediction in self.predictions]
        correlations = [pearson(prediction, mos) for prediction in predictions]
        errors = [math.sqrt(float(np.mean((prediction - mos) ** 2))) for prediction in predictions]
        return np.array([spearman(scores, mos), tau, *correlations, *errors])

    def notes(self) -> list[str]:
        """What is not available for this engine, in words."""
        if np.ptp(self.scores) == 0:
            return ["constant scores, correlation undefined"]
        if self.mos.size < FEWEST_TO_FIT:
            return [f"fewer than {FEWEST_TO_FIT} images, no logistic fitted"]
        return []


def _estimates(values: Floats, drawn: Floats) -> dict[str, Estimate]:
    return {
        name: Estimate(float(value), *percentile_interval(column))
        for name, value, column in zip(STATISTICS, values, drawn.T, strict=True)
    }


def _require_scipy() -> None:
    try:
        import scipy.stats  # noqa: F401
    except ImportError as error:
        raise DependencyError("opinion scores need SciPy; pip install 'fiqa-edge[bench]'") from error


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    return None if isinstance(data, float) and math.isnan(data) else data
