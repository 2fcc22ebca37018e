"""How long a run over very many images takes on machines that fail now and then, by simulation.

    python examples/plan_a_run.py 1e9 3.14 --machines 32 --cores 16 --days-between-failures 3

The first number is that of the images, the second the core milliseconds of one, from your own measurement:
`fiqa-score --explain` prints milliseconds, times the cores that were busy. Each machine scores its share
(`--shard I/N`). One that fails comes back after `--restart` minutes and goes on with `--resume`, which loses a second
of work at most; without it, the share begins anew. Prints the hours until the last machine is through: median and 95 %
of 1,000 draws.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
LOST_SECONDS = 1.0


def hours_with_resume(
    share: float, machines: int, between: float, restart: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """Hours until the last of `machines` is through, each with `share` hours of work, by draw (DRAWS,)."""
    failures = random.poisson(share / between, (DRAWS, machines))
    return np.asarray((share + failures * (restart + LOST_SECONDS / 3600)).max(axis=1), np.float64)


def hours_without(
    share: float, machines: int, between: float, restart: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """The same where a machine that fails begins its share anew; failures come at random, `between` hours apart."""
    tries = random.geometric(np.exp(-share / between), (DRAWS, machines)) - 1
    most = int(tries.max())
    hours = np.full((DRAWS, machines), share)
    for number in range(min(most, 10_000)):
        # The time to a failure that comes before the share is done.
        chance = random.uniform(0, 1 - np.exp(-share / between), hours.shape)
        hours += np.where(number < tries, restart - between * np.log1p(-chance), 0)
    return np.asarray(hours.max(axis=1), np.float64)


def told(hours: NDArray[np.float64]) -> str:
    """Median and 95 %."""
    return f"{np.median(hours):,.1f} hours, 95 %: {np.percentile(hours, 95):,.1f}"


def main() -> None:
    """Print what the run takes."""
    parser = argparse.ArgumentParser(description="How long a run over very many images takes.")
    parser.add_argument("images", type=float)
    parser.add_argument("milliseconds", type=float, help="core milliseconds for an image")
    parser.add_argument("--machines", type=int, default=32)
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--days-between-failures", type=float, default=30.0)
    parser.add_argument("--restart", type=float, default=10.0, metavar="MINUTES")
    given = parser.parse_args()
    core_hours = given.images * given.milliseconds / 3.6e6
    share = core_hours / given.machines / given.cores
    rates = (given.machines, 24 * given.days_between_failures, given.restart / 60, np.random.default_rng(0))
    print(f"{core_hours:,.0f} core hours; {share:,.1f} hours of work for each of {given.machines} machines")
    print(f"with --resume: {told(hours_with_resume(share, *rates))}")
    if share < 5 * rates[1]:
        print(f"without: {told(hours_without(share, *rates))}")
    else:
        print("without: hardly any share would ever be done")


if __name__ == "__main__":
    main()
