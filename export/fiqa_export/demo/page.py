"""The demo's page: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
from fiqa_runtime.errors import DependencyError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.system.files import write_text
from fiqa_runtime.system.host import cpu_model, usable_cores

from fiqa_export.demo.next_steps import Command
from fiqa_export.demo.scores import THRESHOLD, Ladder, Scored
from fiqa_export.demo.steps import Row
from fiqa_export.graph.files import size_of
from fiqa_export.pipeline import Exported
from fiqa_export.publishing import versions

TEMPLATE = Path(__file__).with_name("page.html.jinja")
CREDITS = "Photos: Eileen Collins (NASA), as scikit-image brings it; Grace Hopper (US Navy), as Matplotlib brings it."


def write_page(
    path: Path,
    exported: Sequence[Exported],
    detector: Mapping[str, Any],
    pictures: Sequence[Scored],
    ladders: Sequence[Ladder],
    backends: Sequence[Row],
    commands: Sequence[Command],
) -> None:
    """Write the page to `path`; raises DependencyError where Jinja is not installed."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise DependencyError("the page needs jinja2; pip install 'fiqa-edge[demo]'") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["picture"] = _picture
    faces = [
        (face.quality, crop, picture.path.name)
        for picture in pictures
        for face, crop in zip(picture.faces, picture.crops, strict=True)
    ]
    card = exported[0].card
    text = environment.from_string(TEMPLATE.read_text("utf-8")).render(
        pictures=pictures,
        faces=sorted(faces, key=lambda face: -face[0]),
        below=sum(quality < THRESHOLD for quality, _, _ in faces),
        threshold=THRESHOLD,
        ladders=ladders,
        backends=backends,
        artefacts=[_artefact(item) for item in exported],
        plans=[item.plan for item in exported if item.plan is not None],
        commands=commands,
        card=card,
        detector=detector,
        cpu=cpu_model(),
        cores=f"{usable_cores([]):g}",
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        versions=versions(),
        credits=CREDITS,
    )
    write_text(path, text)


def _artefact(item: Exported) -> dict[str, Any]:
    parity = item.parity
    return {
        "name": item.path.name,
        "megabytes": size_of(item.path) / 1e6,
        "images": parity.images,
        "off": parity.max_abs["score"],
        "srcc": parity.score.srcc if parity.score else None,
        "flips": parity.score.flips[0.10] if parity.score else None,
    }


def _picture(image: Image, quality: int = 88) -> str:
    """A uint8 BGR image as the address of a JPEG inside the page."""
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode()
