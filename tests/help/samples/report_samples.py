"""A report document with every section, and names that try to break out of the page."""

from __future__ import annotations

from typing import Any

import numpy as np
from fiqa_benchmarks.report import sections
from fiqa_benchmarks.report.ladders import mean_scores
from fiqa_benchmarks.speed.bench import END_TO_END, NETWORK
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.agreement import agree

FIRST, SECOND, HOSTILE = "net.fp32.onnx", "net.int8.onnx", "_<script>alert(1)</script>$x_y.onnx"
IMAGES = 60


def timing(milliseconds: float, batch: int) -> dict[str, Any]:
    return {
        "median_ms": milliseconds,
        "p95_ms": 1.2 * milliseconds,
        "p99_ms": 1.4 * milliseconds,
        "images_per_second": 1e3 * batch / milliseconds,
        "samples": 30,
    }


def contender(name: str, speed: float, size: int | None, scores: list[float] | None) -> dict[str, Any]:
    difference = None
    if scores is not None:
        difference = {"max_abs": {"score": 0.01}, "score": agree(engine_scores()[FIRST], scores).as_json()}
    return {
        "name": name,
        "engine": f"engines/{name}",
        "model": "net",
        "precision": "fp32",
        "weights": "official",
        "backend": {"name": "onnxruntime", "version": "1.31"},
        "load_ms": 30.0,
        "file_bytes": size,
        "batches": {
            str(batch): {
                NETWORK: timing(batch * speed, batch),
                END_TO_END: timing(batch * speed + 1, batch),
                "rounds": 3,
                "overhead": {"median": 1.1, "low": 1.0, "high": 1.2},
                "peak_resident_bytes": 10**8,
                "difference": difference,
            }
            for batch in (1, 8)
        },
    }


def engine_scores() -> dict[str, list[float]]:
    generator = np.random.default_rng(4)
    first = generator.uniform(0.2, 0.9, IMAGES)
    return {
        FIRST: first.tolist(),
        SECOND: (first + generator.normal(0, 0.05, IMAGES)).tolist(),
        HOSTILE: (first + 1e-4).tolist(),
    }


def sample_document() -> dict[str, Any]:
    """Every section, with names that try to break out of the page."""
    scores = engine_scores()
    crops = [seeded_image(index, 48, 40) for index in range(IMAGES)]
    names = [f"face {index} & <b>" for index in range(IMAGES)]
    rungs = [("pristine", 0), *((kind, step) for kind in ("blur", "noise", "jpeg") for step in (1, 2, 3))]
    ramps = np.random.default_rng(6).uniform(size=(2, 4, 16, 16)).astype(np.float32)
    return {
        "machine": {"cpu": "A processor", "usable_cores": 2.0, "cores": None},
        "versions": {"python": "3.11.7"},
        "settings": {"batches": [1, 8], "threads": None, "images": {"source": "seeded", "count": IMAGES}},
        "contenders": [
            contender(FIRST, 4.0, 4_000_000, None),
            contender(SECOND, 1.0, 1_000_000, scores[SECOND]),
            contender(HOSTILE, 40.0, None, scores[HOSTILE]),
            {"name": "opencv", "engine": "engines/net.onnx", "error": "crashed <here>; leave it out"},
        ],
        "ratios": {
            name: {
                batch: {step: {"median": ratio, "low": ratio, "high": ratio} for step in (NETWORK, END_TO_END)}
                for batch in ("1", "8")
            }
            for name, ratio in ((SECOND, 0.25), (HOSTILE, 10.0))
        },
        "scores": {"images": names, "engines": scores},
        "worst": sections.worst_moved(scores, names, crops.__getitem__),
        "maps": sections.map_rows({FIRST: ramps[0], SECOND: ramps[1]}, crops[:4], names[:4]),
        "ladders": {
            "faces": 1,
            "engines": mean_scores(rungs, {name: np.linspace(1, 0.1 * k, len(rungs)) for k, name in enumerate(scores)}),
        },
        "cards": {FIRST: {"model": "net", "notes": ["Know this: not for <i>sale</i>."], "plan": {}}},
        "gate": {
            "engine": SECOND,
            "baseline": "old.json",
            "checks": [{"budget": "srcc", "limit": 0.99, "value": None, "note": "no scores", "passed": False}],
        },
    }
