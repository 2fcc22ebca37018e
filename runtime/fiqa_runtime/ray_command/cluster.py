"""A connection to a Ray cluster, or one of this machine alone."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.rows.ray import LEFT_FREE, require_ray
from fiqa_runtime.system.host import own_groups, usable_cores
from fiqa_runtime.terminal.console import stderr

LOCAL = "local"
PATIENCE = 5
"""Seconds that a cluster has to answer; Ray itself would try for a minute."""


@contextmanager
def cluster_at(address: str) -> Iterator[Any]:
    """The module ``ray``, connected inside to the cluster at `address`: HOST:PORT, ``auto`` for the one that this
    machine is a part of, or ``local``.

    ``local`` starts one on this machine, which ends with the block and tells nobody of its use. Beside the cores of
    this machine it has the CPUs that reading and writing need, since those mostly wait. Raises InputError where no
    cluster answers, or one of another version of Ray or Python.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters comes as an error
    ray = require_ray()
    where = _local() if address == LOCAL else {"address": address}
    if address not in (LOCAL, "auto"):
        _knock(address)
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with _in_own_folder(), _same_end(), stderr.status("connecting to Ray"):
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"cannot use the Ray cluster '{address}' ({reason}); {_start_one()}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def reason_within(error: BaseException) -> FiqaError:
    """What stopped a run of Ray: an error of ours where there is one, since Ray wraps those of its workers."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, FiqaError):
            return seen
        inner = getattr(seen, "cause", None)
        seen = inner if isinstance(inner, BaseException) else seen.__cause__
    last = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
    return FiqaError(f"Ray ended the run ({last}); look into its logs, and for nodes that are short of memory")


def _local() -> dict[str, Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    cores = math.ceil(usable_cores(own_groups()))
    return {
        "address": LOCAL,
        "num_cpus": cores + LEFT_FREE,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    }


@contextmanager
def _in_own_folder() -> Iterator[None]:
    """Inside, the working folder is the one that this package lies in.

    Ray lets its workers import from the folder that it is started in, and what lies in that of a user is not code of
    ours.
    """
    before = Path.cwd()
    os.chdir(Path(__file__).resolve().parents[2])
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _same_end() -> Iterator[None]:
    """Behind the block SIGTERM does what it did before; Ray would end the process with a code of its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _knock(address: str) -> None:
    """Raise InputError where nothing answers at `address`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--ray {address} is not an address; write HOST:PORT, auto or {LOCAL}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"nothing answers at {address} ({error}); {_start_one()}") from error


def _start_one() -> str:
    return f"start one with ray start --head, or take --ray {LOCAL}"
