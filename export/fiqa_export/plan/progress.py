"""How far a build is, computed from TensorRT's nested phases."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Progress = Callable[[float], None]
"""Called with the share of the build that is done, 0 to 1, which never falls."""


@dataclass
class _Phase:
    weight: float
    """Share of the whole build."""
    steps: int
    done: int = 0

    @property
    def share(self) -> float:
        return self.weight * self.done / self.steps


def progress_monitor(trt: Any, progress: Progress) -> Any:
    """An IProgressMonitor that calls `progress`. Once its `interrupted` is true, the build ends at the next step."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interrupted = False
            self._lock = threading.Lock()
            self._phases: dict[str, _Phase] = {}
            self._told = 0.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._lock:
                parent = self._phases.get(parent_phase or "")
                weight = parent.weight / parent.steps if parent else 1.0
                self._phases[phase_name] = _Phase(weight, max(num_steps, 1))

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                with self._lock:
                    self._phases[phase_name].done = step + 1
                    self._tell()
            except KeyboardInterrupt:  # must not pass through TensorRT's C++
                self.interrupted = True
            return not self.interrupted

        def phase_finish(self, phase_name: str) -> None:
            with self._lock:
                del self._phases[phase_name]

        def _tell(self) -> None:
            share = min(sum(phase.share for phase in self._phases.values()), 1.0)
            if share > self._told:
                self._told = share
                progress(share)

    return Monitor()


@contextmanager
def stopping_on_ctrl_c(monitor: Any) -> Iterator[None]:
    """Let Ctrl-C end the build of `monitor`; raises KeyboardInterrupt when it has ended.

    Without this Python would raise it in whichever callback comes first, and TensorRT's logger swallows exceptions.
    """
    on_main_thread = threading.current_thread() is threading.main_thread()

    def stop(*_: object) -> None:
        monitor.interrupted = True

    before = signal.signal(signal.SIGINT, stop) if on_main_thread else None
    try:
        yield
    finally:
        if on_main_thread:
            signal.signal(signal.SIGINT, before)
        if monitor.interrupted:
            raise KeyboardInterrupt
