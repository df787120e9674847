"""A folder of recordings, and a cluster of Ray on this machine for the tests that need one."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from fleet import recording

from sgmse.checkpoints import save


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with twelve short recordings in in/."""
    monkeypatch.chdir(tmp_path)
    for i in range(12):
        recording(f"in/{i:02}.wav", samples=1600 + 160 * (i % 3), channels=1 + i % 2, seed=i)
    return tmp_path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny.checkpoint(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A cluster of Ray with a head without cores; tests add machines, and take them away."""
    pytest.importorskip("ray", reason="needs the extra ray")
    tests = Path(__file__).resolve().parent.parent
    path = os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    # Of the processes that are started: they import the networks of tests.
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", OMP_NUM_THREADS="1", PYTHONPATH=path)
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    made.shutdown()
