"""Every JSON document that the project writes: the dataclass that says what is in it, and who writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fiqa_evaluation.plan.plan_file import Plan
from fiqa_runtime.artefact.card import VERSION, Card
from fiqa_runtime.artefact.facts import Fp16Conversion, Int8Conversion, PlanBuild
from fiqa_runtime.command.threshold import VERSION as THRESHOLD_VERSION
from fiqa_runtime.command.threshold import StoredThreshold
from fiqa_runtime.networks.network_file import VERSION as NETWORK_VERSION
from fiqa_runtime.networks.network_file import NetworkFile

from docs.generate.kinds import bench, evaluation, export, score, serve, watch


@dataclass(frozen=True)
class Document:
    """One kind of document."""

    kind: type
    """The dataclass of its entries."""
    title: str
    command: str
    """What writes it."""
    file: str
    """Name of its schema, which holds the version."""
    own_marks: Mapping[str, dict[str, Any]] | None = None
    """Entries beside those of `kind`, with their schema; None: those that every document of a command begins with."""
    empty_where_none: Mapping[tuple[type[Any], str], tuple[Any, ...]] = field(default_factory=dict)
    """By dataclass and field: an entry that is an empty table where the field is None, and what it is else."""

    @property
    def marks(self) -> Mapping[str, dict[str, Any]]:
        """Entries beside those of `kind`."""
        return _head(self.file.removesuffix(".json")) if self.own_marks is None else self.own_marks


def _head(name: str) -> dict[str, dict[str, Any]]:
    return {
        "schema": {"const": name, "description": "Name and version of the kind of document."},
        "fiqa_edge": {"type": "string", "description": "Version of this project."},
        "written": {"type": "string", "format": "date-time", "description": "When, as ISO 8601."},
    }


_CARD: dict[tuple[type[Any], str], tuple[Any, ...]] = {
    (Card, "conversion"): (Fp16Conversion, Int8Conversion),
    (Card, "plan"): (PlanBuild,),
}

DOCUMENTS = {
    "card": Document(
        Card,
        "The card of an artefact",
        "`fiqa-export`, beside every artefact",
        f"card.v{VERSION}.json",
        {"fiqa_card": {"const": VERSION, "description": "Version of the card."}},
        _CARD,
    ),
    "score": Document(score.Scores, "Scores of images", "`fiqa-score --json`", "fiqa-score.v1.json"),
    "network": Document(
        NetworkFile,
        "A network file, as TOML",
        "people, or `fiqa-export --inspect`",
        f"network.v{NETWORK_VERSION}.json",
        {},
    ),
    "line": Document(
        score.ScoreLine, "One image, as a line", "`fiqa-score --jsonl`", "fiqa-score-line.v1.json", own_marks={}
    ),
    "watch-line": Document(
        watch.WatchLine,
        "One event of a stream, as a line",
        "`fiqa-watch --jsonl`",
        "fiqa-watch-line.v1.json",
        own_marks={},
    ),
    "watch": Document(watch.Watch, "What became of a stream", "`fiqa-watch --json`", "fiqa-watch.v1.json"),
    "faces": Document(
        serve.FacesAnswer, "The faces of a photo", "`fiqa-serve`, to `/faces`", "fiqa-serve-faces.v1.json", own_marks={}
    ),
    "problem": Document(
        serve.ProblemAnswer,
        "Why a request is refused",
        "`fiqa-serve`, to any request",
        "fiqa-serve-problem.v1.json",
        own_marks={},
    ),
    "threshold": Document(
        StoredThreshold,
        "A threshold kept beside an artefact",
        "`fiqa-score --calibrate-threshold`",
        f"threshold.v{THRESHOLD_VERSION}.json",
        {"fiqa_threshold": {"const": THRESHOLD_VERSION, "description": "Version of the file."}},
    ),
    "self-test": Document(
        score.SelfTest, "A self-test", "`fiqa-score --self-test --json`", "fiqa-score-self-test.v1.json"
    ),
    "explain": Document(
        score.Explanation, "The choice of a backend", "`fiqa-score --explain --json`", "fiqa-score-explain.v1.json"
    ),
    "diagnose": Document(
        score.DiagnosedScores,
        "Whose mistake it is",
        "`fiqa-score --diagnose --json`",
        "fiqa-score-diagnose.v1.json",
    ),
    "export": Document(
        export.Exports,
        "What was exported",
        "`fiqa-export --json`",
        "fiqa-export.v1.json",
        empty_where_none={
            (export.ExportedFile, "conversion"): (Fp16Conversion, Int8Conversion),
            (export.ExportedFile, "plan"): (PlanBuild,),
        },
    ),
    "list": Document(export.Networks, "The known networks", "`fiqa-export --list --json`", "fiqa-export-list.v1.json"),
    "doctor": Document(
        export.Doctor, "What this machine can build", "`fiqa-export --doctor --json`", "fiqa-export-doctor.v1.json"
    ),
    "bench": Document(bench.Benchmark, "Speed, agreement and gate", "`fiqa-bench --json`", "fiqa-bench.v1.json"),
    "pipeline": Document(
        bench.PhotoBenchmark,
        "From photos to scored faces",
        "`fiqa-bench --pipeline --json`",
        "fiqa-bench-pipeline.v1.json",
    ),
    "bench-watch": Document(
        bench.Watched,
        "What watching loses, and how fast it is",
        "`fiqa-bench --watch --json`",
        "fiqa-bench-watch.v1.json",
    ),
    "opinions": Document(
        evaluation.Opinions, "Scores against opinions", "`fiqa-eval opinions --json`", "fiqa-eval-opinions.v1.json"
    ),
    "discard": Document(
        evaluation.Discard, "Error versus discard", "`fiqa-eval discard --json`", "fiqa-eval-discard.v1.json"
    ),
    "distributions": Document(
        evaluation.SetsCompared,
        "Quality distributions",
        "`fiqa-eval distributions --json`",
        "fiqa-eval-distributions.v1.json",
    ),
    "set": Document(
        evaluation.SetManifest, "A prepared data set", "`fiqa-eval prepare`", "fiqa-eval-set.v1.json", own_marks={}
    ),
    "run": Document(evaluation.PlanResults, "What a plan found", "`fiqa-eval run --json`", "fiqa-eval-run.v1.json"),
    "plan": Document(Plan, "A plan, as TOML", "people", "fiqa-eval-plan.v1.json", {}),
}
"""By the name that pages call it."""
