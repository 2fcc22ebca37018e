"""What the registry of networks knows, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from fiqa_export.command.list_command import commercial_use
from fiqa_runtime.artefact.spec import Checkpoint, InputSpec, ModelSpec
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.system.drive import is_drive_folder

from docs.generate.markdown import table

FRAMINGS = {
    "arcface-112": "face aligned by five points to the ArcFace template, 112 x 112",
    "ffhq": "the whole head, as in FFHQ",
    "portrait-512": "FaceXFormer's levelled portrait, 512 x 512",
    "face-box": "a part of a photo that may be a face",
    "photo": "a whole photo",
}
"""In words."""
SHORT = {
    "arcface-112": "ArcFace crop",
    "ffhq": "whole head",
    "portrait-512": "portrait 512 x 512",
    "face-box": "face box",
    "photo": "photo",
}
"""In the table of all networks."""


def network_table() -> str:
    """One line per network."""
    titles = ("network", "for", "input", "output", "parameters", "GMAC", "commercial use")
    return table(titles, map(_summary, MODELS.values()))


def network_facts(family: str) -> str:
    """What the networks of `family` share, what each has of its own, their weight files and their notes."""
    specs = [spec for spec in MODELS.values() if _belongs(spec.name, family)]
    facts: dict[str, list[str]] = {
        "for": [spec.task for spec in specs],
        "input": [_size(spec.input) for spec in specs],
        "framing": [FRAMINGS[spec.input.framing] for spec in specs],
        "colour order": [spec.input.colour for spec in specs],
        "mean, divisor": [_normalisation(spec.input) for spec in specs],
        "resize": [spec.input.resize for spec in specs],
        "outputs": [_outputs(spec) for spec in specs],
        "range of the score": [_range(spec) for spec in specs],
        "parameters": [f"{spec.parameters:,}" for spec in specs],
        "multiply-accumulates": [f"{billions(spec.macs)} G" for spec in specs],
        "largest batch": [str(spec.max_batch) for spec in specs],
        "licence of the weights": [spec.licence for spec in specs],
        "commercial use": [commercial_use(spec.licence) for spec in specs],
    }
    known = {name: values for name, values in facts.items() if any(values)}
    shared = [(name, values[0]) for name, values in known.items() if len(set(values)) == 1]
    own = [(name, *values) for name, values in known.items() if len(set(values)) > 1]
    parts = [table((", ".join(f"`{spec.name}`" for spec in specs), ""), shared)]
    if own:
        parts.append(table(("", *(f"`{spec.name}`" for spec in specs)), own))
    parts.append(f"Source: {specs[0].source}.")
    parts += ["### Weight files", table(("network", "set", "file", "from"), _files(specs))]
    notes = dict.fromkeys(note for spec in specs for note in spec.notes)
    if notes:
        parts += ["### What the card notes", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts)


def billions(count: int) -> str:
    """Two digits after the point, more where these are zeros."""
    return f"{count / 1e9:.2f}" if count >= 1e7 else f"{count / 1e9:.2g}"


def _belongs(name: str, family: str) -> bool:
    return name == family or (name.startswith(f"{family}-") and name != "ifqa-plus")


def _summary(spec: ModelSpec) -> tuple[str, ...]:
    return (
        f"`{spec.name}`",
        spec.task,
        f"{_size(spec.input)}, {SHORT[spec.input.framing]}",
        _outputs(spec),
        f"{spec.parameters / 1e6:.2f} M",
        billions(spec.macs),
        commercial_use(spec.licence),
    )


def _size(spec: InputSpec) -> str:
    return f"{spec.width} x {spec.height}" if spec.width else "any size"


def _normalisation(spec: InputSpec) -> str:
    values = [
        ", ".join(f"{round(value, 2):g}" for value in dict.fromkeys(channels)) for channels in (spec.mean, spec.std)
    ]
    return "; ".join(values)


def _outputs(spec: ModelSpec) -> str:
    heads = [output for output in spec.outputs if output.kind == "head"]
    return f"{len(heads)} heads" if heads else ", ".join(output.name for output in spec.outputs)


def _range(spec: ModelSpec) -> str:
    scores = [output for output in spec.outputs if output.kind == "score"]
    if not scores:
        return ""
    bounds = scores[0].range
    return "higher is better; " + (f"{bounds[0]:g} to {bounds[1]:g}" if bounds else "not bounded by the network")


def _files(specs: Iterable[ModelSpec]) -> list[tuple[str, ...]]:
    return [
        (f"`{spec.name}`", name, f"`{checkpoint.file}`", _place(checkpoint))
        for spec in specs
        for name, files in spec.weights.items()
        for checkpoint in files
    ]


def _place(checkpoint: Checkpoint) -> str:
    if not checkpoint.page.startswith("https://"):
        return f"{checkpoint.page} (comes along)"
    if checkpoint.package is not None:
        return f"<{checkpoint.page}> (comes with the extra `[{checkpoint.package.partition(':')[0]}]`)"
    if checkpoint.url is None and is_drive_folder(checkpoint.page):
        return f"<{checkpoint.page}> (fetched with the extra `[drive]`, else by hand)"
    return f"<{checkpoint.page}> ({'fetched by itself' if checkpoint.url else 'fetched by hand'})"
