"""Chooses the threshold that rejects a given share of your own pictures, and says how sure it is.

    fiqa-score crops/ --engine ediffiqa-t.fp32.onnx --aligned --csv scores.csv
    python examples/choose_threshold.py scores.csv --reject 0.05

The interval is a bootstrap one, 95 %: draw as many pictures again, with replacement, and see where the threshold falls.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000


def read_scores(path: Path) -> NDArray[np.float64]:
    """The column `quality` of what `fiqa-score --csv` writes."""
    with path.open(newline="", encoding="utf-8") as stream:
        return np.array([float(row["quality"]) for row in csv.DictReader(stream) if row["quality"]])


def threshold(scores: NDArray[np.float64], reject: float) -> tuple[float, float, float]:
    """The score below which the share `reject` of `scores` (N,) lies, with the ends of its interval."""
    drawn = np.random.default_rng(0).choice(scores, (RESAMPLES, scores.size))
    low, high = np.quantile(np.quantile(drawn, reject, axis=1), (0.025, 0.975))
    return float(np.quantile(scores, reject)), float(low), float(high)


def main() -> None:
    """Print the threshold, its interval and what it rejects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--reject", type=float, default=0.05, help="share to reject, 0 to 1")
    options = parser.parse_args()
    scores = read_scores(options.scores)
    chosen, low, high = threshold(scores, options.reject)
    print(f"threshold {chosen:.4f}, 95 % interval {low:.4f} to {high:.4f}, from {scores.size} scores")
    print(f"it rejects {np.mean(scores < chosen):.1%} of them")


if __name__ == "__main__":
    main()
