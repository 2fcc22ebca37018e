"""Writes everything that a benchmark found to one HTML file, which needs no network.

The page is static: no script, drawings as SVG inside, pictures as ``data:`` addresses, and a content security policy
that forbids to load anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.faces.drawing import map_picture
from fiqa_runtime.system.files import write_text

from fiqa_benchmarks.report.sections import picture
from fiqa_benchmarks.speed.bench import END_TO_END, NETWORK

TEMPLATE = "page.html.jinja"
SECTIONS = (
    "machine",
    "versions",
    "settings",
    "scores",
    "worst",
    "maps",
    "cards",
    "ladders",
    "gate",
)
"""Sections of the document; each may be absent."""
PLACES = {
    "speed": ("latency", "throughput"),
    "size": ("pareto",),
    "scores": ("scatter",),
    "ladders": ("ladders",),
}
"""Sections of the page, and the beginnings of the names of their plots."""


def write_report(document: Mapping[str, Any], path: Path) -> None:
    """Write the JSON document of ``fiqa-bench`` as one HTML page to `path`.

    `document` is what ``--json`` writes: of a benchmark (`contenders`, `ratios`, `machine`, `versions`, `settings`,
    perhaps `gate`). It may also hold the sections of :mod:`fiqa_benchmarks.report.sections` and
    :mod:`fiqa_benchmarks.report.ladders`: `scores`, `worst`, `maps`, `cards`, `ladders`.
    Raises InputError where there is nothing to report or `path` cannot be written, DependencyError where Matplotlib or
    Jinja is not installed.
    """
    if not document.get("contenders"):
        raise InputError("there is nothing to report; give fiqa-bench at least one --engine")
    write_text(path, page(document))


def check_installed() -> None:
    """Raise DependencyError where a package that draws the page is not installed. Called before hours of measuring."""
    for package in ("jinja2", "matplotlib"):
        if not find_spec(package):
            raise DependencyError(f"--html needs {package}; pip install 'fiqa-edge[bench]'")


def page(document: Mapping[str, Any]) -> str:
    """The HTML of :func:`write_report`."""
    check_installed()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from fiqa_benchmarks.report.speed_plots import plots

    environment = Environment(
        loader=PackageLoader("fiqa_benchmarks.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    drawn = plots({"contenders": [], **document})
    return environment.get_template(TEMPLATE).render(
        document={**dict.fromkeys(SECTIONS), **document},
        findings=findings(document),
        overview=overview(document),
        map_scale=picture(map_picture(np.linspace(0, 1, 160)[np.newaxis].repeat(8, axis=0))),
        placed={place: [p for p in drawn if p.name.startswith(starts)] for place, starts in PLACES.items()},
        written=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
    )


def findings(document: Mapping[str, Any]) -> list[str]:
    """What the numbers say: a sentence for every contender but the first, and one for each that did not run."""
    contenders = document.get("contenders", [])
    sentences = []
    for contender in contenders[1:]:
        name = contender["name"]
        if "error" in contender:
            continue
        batch, result = next(iter(contender["batches"].items()))
        ratio = document["ratios"][name][batch][NETWORK]["median"]
        sentence = f"{name} takes {ratio:.2f} times the time of {contenders[0]['name']} at batch {batch}"
        score = result["difference"] and result["difference"]["score"]
        if score:
            srcc = "no rank correlation (constant scores)" if score["srcc"] is None else f"SRCC {score['srcc']:.5f}"
            flips = score["flips"].get("0.1")
            changed = "" if flips is None else f", {100 * flips:.1f} % of the decisions flip at 10 % rejection"
            sentence += f"; {srcc}{changed} on {score['n']} images"
        sentences.append(f"{sentence}.")
    return sentences + [f"{c['name']} did not run: {c['error']}" for c in contenders if "error" in c]


def overview(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row per contender and batch size, as text by column title; dashes stand for what does not exist."""
    rows = []
    for contender in document.get("contenders", []):
        for size, batch in contender.get("batches", {}).items():
            difference = batch["difference"]
            score = difference and difference["score"]
            ratio = document["ratios"].get(contender["name"], {}).get(size)
            rows.append(
                {
                    "contender": contender["name"],
                    "backend": contender["backend"]["name"],
                    "precision": contender["precision"],
                    "batch": size,
                    "median ms": f"{batch[NETWORK]['median_ms']:.2f}",
                    "p95 ms": f"{batch[NETWORK]['p95_ms']:.2f}",
                    "x first": f"{ratio[NETWORK]['median']:.2f}" if ratio else "1",
                    "images/s": f"{batch[END_TO_END]['images_per_second']:.1f}",
                    "file MB": f"{contender['file_bytes'] / 1e6:.1f}" if contender["file_bytes"] else "–",
                    "peak MB": f"{batch['peak_resident_bytes'] / 1e6:.0f}",
                    "max |d|": f"{max(difference['max_abs'].values()):.1e}" if difference else "–",
                    "SRCC": f"{score['srcc']:.5f}" if score and score["srcc"] is not None else "–",
                }
            )
    return rows


def plain(value: object) -> str:
    """A JSON value as people write it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
