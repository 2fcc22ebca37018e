"""Ray on the loopback interface, which asks nobody and writes no token; it ends with the block."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}
STORE = 200 << 20
"""Bytes of shared memory for objects, on each node."""


@contextmanager
def quiet_ray() -> Iterator[str]:
    """The variables that Ray wants in a test, and the folder for its sessions, whose name is short since sockets lie
    in it."""
    with (
        pytest.MonkeyPatch.context() as patch,
        TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as place,
    ):
        for name, value in {**SETTINGS, "PYTHONPATH": os.pathsep.join(sys.path), "RAY_TMPDIR": place}.items():
            patch.setenv(name, value)
        own = Path(place) / "ray"  # where it looks by itself
        own.mkdir()
        yield str(own)


@contextmanager
def one_node(cpus: int = 4) -> Iterator[Any]:
    """The module ``ray``, connected to a cluster of one node."""
    import ray

    with quiet_ray() as place:
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=STORE,
            _node_ip_address="127.0.0.1",
            _temp_dir=place,
        )
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def two_nodes(cpus: int = 3) -> Iterator[tuple[Any, Any, Any]]:
    """The module ``ray``, connected to the first of two nodes on this machine; the cluster, and its second node."""
    import ray
    from ray.cluster_utils import Cluster

    node = {
        "num_cpus": cpus,
        "object_store_memory": STORE,
        "include_dashboard": False,
    }
    with quiet_ray() as place:
        cluster = Cluster(initialize_head=True, head_node_args={**node, "temp_dir": place})
        try:
            second = cluster.add_node(**node)
            cluster.wait_for_nodes()
            ray.init(address=cluster.address, log_to_driver=False)
            yield ray, cluster, second
        finally:
            ray.shutdown()
            cluster.shutdown()
