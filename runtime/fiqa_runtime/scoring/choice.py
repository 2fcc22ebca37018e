"""Which backend runs an artefact here: the one that was named, or the fastest that gives its canaries' values.

    choice = decide("auto", path, card)
    print(*choice.lines(), sep="\\n")

Each backend is tried at batch 1, and the time to open it is taken, once for each combination of artefact, device,
processor, versions, threads and precision. The user cache remembers the outcome. A backend that was named is never
replaced by another. On another device than the processor a backend that was named, or is the only one, has to give the
canaries' values too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import CpuPrecision, check_precision
from fiqa_runtime.backends import DISTRIBUTIONS, available, check_backend, require_device
from fiqa_runtime.backends.devices import CPU, PLAN_BACKEND, device_for
from fiqa_runtime.errors import InputError, UnsupportedError, VerdictError
from fiqa_runtime.scoring.canaries import tolerance
from fiqa_runtime.scoring.trial import Trial, try_backend
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.system.outcomes import Outcome, this_machine
from fiqa_runtime.system.schema import from_plain

FOLDER = "backends"
"""Folder in the user cache that holds the outcomes, one file for each."""
FEW_IMAGES = 10
"""Up to so many images, `auto` counts the time to open a backend too. Each may hold several faces, so that a larger
number would say little about how long scoring takes."""


@dataclass(frozen=True)
class Choice:
    """A backend, and why this one."""

    backend: str
    """Its name."""
    why: str
    """One line."""
    trials: tuple[Trial, ...] = ()
    """What was tried, the fastest that passed first; empty where there was nothing to try."""
    note: str = ""
    """Where the outcome comes from or is kept."""
    remembered: str | None = None
    """The file in the user cache that the outcome was read from; None where it was found out just now."""
    device: str = CPU
    """The device that it runs on."""
    soonest: bool = False
    """Whether this backend is done with the few images at hand first, and another one would be with many."""

    @property
    def moved(self) -> Mapping[str, float]:
        """By output: how far the arithmetic of `fast` moved the canaries when it was judged here."""
        return next((trial.moved for trial in self.trials if trial.backend == self.backend), {})

    def lines(self) -> list[str]:
        """For people: the choice, then each backend that was tried."""
        note = [f"  ({self.note})"] if self.note else []
        return [f"backend {self.backend} on {self.device}: {self.why}", *(f"  {trial}" for trial in self.trials), *note]

    def as_json(self) -> dict[str, Any]:
        """For documents."""
        return asdict(self)


def decide(
    name: str,
    artefact: Path,
    card: Card,
    threads: int | None = None,
    precision: CpuPrecision = "exact",
    device: str | None = None,
    images: int | None = None,
) -> Choice:
    """The backend for `artefact` on `device` where `name` is asked for: `auto` or a backend's name.

    `images`: how many are to be scored; None is many. Up to :data:`FEW_IMAGES`, `auto` is the backend that opens and
    scores them in the least time, on the processor.

    `device` None is the processor, and for a plan its GPU. Raises InputError for an unknown name, device or precision
    and for `fast` on another device than the processor, DependencyError where a named backend or the device is missing,
    UnsupportedError where it is for other files or the device computes nothing, CardError where the card has no
    canaries to judge by, and VerdictError where the named backend, or none of all, gives the canaries' values or keeps
    the ranking.
    """
    check_precision(precision)
    place = device_for(card, device)
    if card.format == "plan":
        return _for_plan(name, artefact, card, precision, place)
    if place != CPU:
        return _on_device(name, artefact, card, threads, precision, place)
    if name != "auto":
        check_backend(name, artefact, card)
        if precision == "exact":
            return Choice(name, "named")
        return _named_fast(name, artefact, card, threads)
    names = available()
    if precision == "exact" and len(names) == 1:
        return Choice(names[0], "the only one installed")
    if precision == "exact" and not card.canaries:
        return Choice(names[0], "the first one installed; the card has no canaries, so nothing shows which are right")
    trials, note, file = _tried(names, artefact, card, threads, precision, CPU, images)
    passed = [trial for trial in trials if trial.passed]
    if not passed:
        tried = "; ".join(map(str, trials))
        raise VerdictError(
            f"no backend gives the canaries of {artefact.name} ({tried}); export it again on this machine"
            + (", or leave --cpu-precision fast out" if precision == "fast" else "")
        )
    right = "give the canaries' values" if precision == "exact" else "keep the ranking of float32"
    fastest = min(passed, key=_rank).backend
    if passed[0].backend != fastest:
        why = f"of {len(passed)} that {right}, it opens and scores {images} soonest; for many, {fastest} is faster"
        return Choice(passed[0].backend, why, trials, note, file, soonest=True)
    return Choice(fastest, f"the fastest of {len(passed)} that {right}", trials, note, file)


def _for_plan(name: str, artefact: Path, card: Card, precision: CpuPrecision, device: str) -> Choice:
    if precision == "fast":
        raise InputError(f"{artefact.name} is a TensorRT plan with types of its own; leave --cpu-precision fast out")
    if name == "auto":
        return Choice(PLAN_BACKEND, "it alone runs plans", device=device)
    check_backend(name, artefact, card)
    return Choice(name, "named", device=device)


def _on_device(
    name: str, artefact: Path, card: Card, threads: int | None, precision: CpuPrecision, device: str
) -> Choice:
    """The backend on another device than the processor, which the canaries judge whoever asks for it."""
    if precision == "fast":
        raise InputError(
            f"--cpu-precision fast is for the processor and not for {device}; leave it out, "
            f"or take an fp16 artefact: fiqa-export {card.model} --fp16"
        )
    if name == "auto":
        names = require_device(device)
    else:
        check_backend(name, artefact, card, device)
        names = [name]
    trials, note, file = _tried(names, artefact, card, threads, precision, device)
    best = trials[0]
    if best.passed:
        why = "named" if name != "auto" else f"the fastest of {sum(trial.passed for trial in trials)} that serve it"
        return Choice(best.backend, f"{why}, and it gives the canaries' values", trials, note, file, device)
    if all(trial.milliseconds is None for trial in trials):
        raise UnsupportedError("; ".join(trial.verdict for trial in trials))
    raise VerdictError(
        f"on {device} {artefact.name} does not give its canaries ({'; '.join(map(str, trials))}); "
        "take --device cpu, or an artefact of the precision that the device computes in"
    )


def _named_fast(name: str, artefact: Path, card: Card, threads: int | None) -> Choice:
    trials, note, file = _tried([name], artefact, card, threads, "fast", CPU)
    if not trials[0].passed:
        raise VerdictError(f"--cpu-precision fast is refused for {artefact.name} on {trials[0]}; use exact")
    return Choice(name, "named", trials, note, file)


def _tried(
    names: Sequence[str],
    artefact: Path,
    card: Card,
    threads: int | None,
    precision: CpuPrecision,
    device: str,
    images: int | None = None,
) -> tuple[tuple[Trial, ...], str, str | None]:
    """What became of each of `names`, the fastest that passed first (of few `images`, the one that is done first), a
    note on where that comes from, and the file that remembered it."""
    tolerance(card)
    question = {
        "card": hashlib.sha256(card.to_json().encode()).hexdigest(),
        "artefact": card.files.get(artefact.name) or sha256_of(artefact),
        "threads": threads,
        "precision": precision,
        "device": device,
        **this_machine(DISTRIBUTIONS),
    }
    outcomes = {name: Outcome(FOLDER, {**question, "backend": name}) for name in names}
    known = {name: trial for name, outcome in outcomes.items() if (trial := _trial(outcome.recall(), name))}
    found = [known.get(name) or try_backend(name, artefact, threads, precision, device) for name in names]
    trials = tuple(sorted(found, key=_done(found, images)))
    best = trials[0]
    if not best.passed:
        for name in known:
            outcomes[name].forget()
        return trials, "measured now, and again next time: none passed", None
    notes = {
        each.backend: outcomes[each.backend].remember(asdict(each)) for each in trials if each.backend not in known
    }
    file = str(outcomes[best.backend].file)
    return trials, notes.get(best.backend, f"remembered in {file}"), file if best.backend in known else None


def _trial(answer: Any, name: str) -> Trial | None:
    """What was remembered about the backend `name`; None where that is something else."""
    try:
        trial = from_plain(Trial, answer)
    except (ValueError, TypeError):
        return None
    return trial if trial.backend == name else None


def _done(trials: Sequence[Trial], images: int | None) -> Callable[[Trial], tuple[bool, float]]:
    """The key that orders `trials` by when they would be done with `images`, where those are few and all times known;
    else by their speed."""
    if images is None or images > FEW_IMAGES or any(trial.passed and trial.opening is None for trial in trials):
        return _rank
    return lambda trial: (not trial.passed, (trial.opening or 0.0) + images * _rank(trial)[1])


def _rank(trial: Trial) -> tuple[bool, float]:
    return not trial.passed, float("inf") if trial.milliseconds is None else trial.milliseconds
