"""``make demo``: from a checkpoint to scored faces in photos. Whatever has to be substituted, it says so."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import typer
from fiqa_runtime.errors import DependencyError, FetchError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.drawing import draw_faces
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.align import arcface_crop
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test
from fiqa_runtime.terminal.console import progress_bar, run, stderr
from fiqa_runtime.terminal.outputs import check_output_folder, write_json

from fiqa_export.pipeline import Exported, export

MODEL = "ediffiqa-t"
OUT = Path("demo")
PHOTOS = {"skimage": "data/astronaut.png", "matplotlib": "mpl-data/sample_data/grace_hopper.jpg"}
"""Public-domain portraits (NASA, US Navy) inside packages that the demo installs."""
ASTRONAUT = np.array([[200.1, 101.8], [247.1, 102.6], [220.4, 124.5], [198.6, 142.8], [239.7, 143.6]])
"""Five landmarks of the face in the first photo, as YuNet finds them, for a machine that cannot fetch YuNet."""

app = typer.Typer(add_completion=False)


@app.command()
def demo() -> None:
    """Export eDifFIQA(T), score sample photos, write annotated pictures and a summary to demo/."""
    check_output_folder(OUT)
    exported = _export()
    with Scorer(exported.path) as scorer:
        stderr.print(str(self_test(scorer)), highlight=False)
        photos = [_package_folder(package) / name for package, name in PHOTOS.items()]
        try:
            scored = _score_photos(photos, FaceQuality(scorer, Detector()))
        except FetchError as error:
            stderr.print(f"[yellow]no face detector:[/] {error}", soft_wrap=True, highlight=False)
            stderr.print("[yellow]so one face is cut out by known landmarks, without detection[/]")
            scored = _score_known_face(photos[0], scorer)
    summary = {
        "engine": exported.path,
        "weights": exported.card.weights.description,
        "licence": exported.card.licence,
        "parity": exported.card.as_json()["parity"],
        "photos": scored,
    }
    write_json(summary, str(OUT / "summary.json"))
    _print(exported, scored)


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise DependencyError(f"{package} is not installed; pip install 'fiqa-edge[demo]'")
    return Path(spec.origin).parent


def _export() -> Exported:
    with progress_bar() as report:
        try:
            return export(MODEL, None, OUT, report=report)
        except FetchError as error:
            stderr.print(f"[yellow]official weights:[/] {error}", soft_wrap=True, highlight=False)
            stderr.print(
                "[yellow]so the same chain runs with --weights standin: not a published model and not for production, "
                "but its scores fall with technical degradation[/]",
                soft_wrap=True,
            )
            return export(MODEL, "standin", OUT, report=report)


def _score_photos(photos: list[Path], quality: FaceQuality) -> list[dict[str, Any]]:
    scored = []
    for path in photos:
        photo = read_image(path)
        faces = quality.assess(photo)
        picture = OUT / f"{path.stem}.scored.png"
        cv2.imwrite(str(picture), draw_faces(photo, faces))
        scored.append({"photo": path.name, "qualities": [face.quality for face in faces], "picture": picture})
    return scored


def _score_known_face(path: Path, scorer: Scorer) -> list[dict[str, Any]]:
    crop = arcface_crop(read_image(path), ASTRONAUT)
    picture = OUT / f"{path.stem}.crop.png"
    cv2.imwrite(str(picture), crop)
    return [{"photo": path.name, "qualities": scorer.score([crop]).tolist(), "picture": picture}]


def _print(exported: Exported, scored: list[dict[str, Any]]) -> None:
    parity = exported.parity
    typer.echo(f"\nexported  {exported.path}")
    typer.echo(f"weights   {exported.card.weights.description}")
    typer.echo(f"parity    max |d| to PyTorch {parity.max_abs['score']:.1e} over {parity.images} images: pass")
    for entry in scored:
        scores = ", ".join(f"{quality:.4f}" for quality in entry["qualities"]) or "no face"
        typer.echo(f"photo     {entry['photo']}: {scores} -> {entry['picture']}")
    typer.echo(f"summary   {OUT / 'summary.json'}")


if __name__ == "__main__":
    run(app)
