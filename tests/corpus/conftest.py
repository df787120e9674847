"""A folder of recordings, and a cluster of Ray on this machine for the tests that need one."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sgmse.audio import Info, write


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with twelve short recordings in in/."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for i in range(12):
        recording(f"in/{i:02}.wav", samples=1600 + 160 * (i % 3), channels=1 + i % 2, seed=i)
    return tmp_path


def recording(name: str, samples: int = 1600, channels: int = 1, seed: int = 0) -> None:
    z = np.random.default_rng(seed).standard_normal((channels, samples))
    write(name, 0.03 * z.clip(-3, 3), Info(16000, channels))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A cluster of Ray with a head without cores; tests add machines, and take them away."""
    pytest.importorskip("ray", reason="needs the extra ray")
    # Before Ray is imported, which reads them then; workers find tests' modules by the path.
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", OMP_NUM_THREADS="1")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    made.shutdown()
