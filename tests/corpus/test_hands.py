"""Scores, mixtures and suites on the machines of a cluster: equal to one machine's."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from fleet import assert_alike, recording

from sgmse.audio import Info, write
from sgmse.bench import Folder, Noisy, run_suite
from sgmse.bench.suite import NoisySet, Suite
from sgmse.cli.main import main
from sgmse.corpus import Cluster, workers_of
from sgmse.data.noisy_sets import Mixer, mix
from sgmse.errors import ArgumentError, MissingPackageError, RecordingWarning, WorkerError
from sgmse.scoring import score
from sgmse.scoring.workers import Death, Pool, map_unordered

ONE_CORE = {"num_cpus": 1}
MEASURES = ("si-sdr", "estoi")


# What is done in workers


def doubled(number: int) -> int:
    return 2 * number


def refusing(number: int) -> int:
    if number == 3:
        raise ArgumentError("not three")
    return number


def warning(number: int) -> int:
    import warnings

    warnings.warn(f"{number}: noticed", RecordingWarning, stacklevel=2)
    return number


class Dying:
    """Ends its process over the number 5."""

    def __call__(self, number: int) -> int:
        if number == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return number


# Without Ray


class Backwards(Pool):
    """Does all here, the last first."""

    processes = 3

    def map_unordered(self, function, items, died=None):
        for item in reversed(list(items)):
            yield item, function(item)


def speech(path: Path, seed: int) -> np.ndarray:
    """A second and a half that swells."""
    rng, t = np.random.default_rng(seed), np.arange(24000) / 16000
    wave = 0.2 * np.sin(2 * np.pi * (150 + 20 * seed) * t) * np.sin(2 * np.pi * 3 * t) ** 2
    wave += 0.01 * rng.standard_normal(len(t))
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, wave[None].astype(np.float32), Info(16000))
    return wave


@pytest.fixture
def corpus(tmp_path, monkeypatch) -> Path:
    """Clean and noisy recordings, and noise, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for i in range(6):
        wave = speech(Path(f"clean/{i}.wav"), i)
        noise = 0.05 * np.random.default_rng(100 + i).standard_normal(len(wave))
        Path("noisy").mkdir(exist_ok=True)
        write(f"noisy/{i}.wav", (wave + noise)[None].astype(np.float32), Info(16000))
        recording(f"noise/{i}.wav", samples=30000, seed=i)
    return tmp_path


def folder(path: str) -> dict[str, bytes]:
    files = (file for file in Path(path).rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


def assert_sets_alike(ours: str, theirs: str) -> None:
    made, expected = folder(ours), folder(theirs)
    assert made.keys() == expected.keys()
    assert made.pop("index.csv") == expected.pop("index.csv")
    for name, content in made.items():
        assert_alike(content, expected[name])


def suite() -> Suite:
    sets = {"mine": NoisySet(Path("clean").absolute(), Path("noisy").absolute())}
    systems = {"noisy": Noisy(), "done": Folder(str(Path("clean").absolute()))}
    return Suite(sets, systems, measures=MEASURES)


@pytest.mark.slow
def test_a_pool_takes_the_place_of_processes(corpus):
    """In whatever order it does the items."""
    assert sorted(map_unordered(doubled, [1, 2, 3], Backwards())) == [(1, 2), (2, 4), (3, 6)]
    alone = score("clean", "noisy", measures=MEASURES)
    assert score("clean", "noisy", measures=MEASURES, workers=Backwards()).rows == alone.rows
    results = run_suite(suite(), "results", workers=Backwards())
    assert results.workers == 3
    assert not results.unscored()
    mixer = Mixer((0.0, 5.0), noises=2)
    mix("clean", "noise", "one", mixer, quiet=True)
    mix("clean", "noise", "several", mixer, workers=Backwards(), quiet=True)
    assert_sets_alike("several", "one")


def test_a_death_elsewhere_may_be_the_systems():
    assert str(Death(None, "its machine was lost")) == "its machine was lost"
    assert Death(None, "its machine was lost").by_system
    assert not Death(-signal.SIGSEGV).by_system


COMMANDS = (
    ["score", "clean", "noisy"],
    ["mix", "clean", "noise", "set"],
    ["bench", "suite.yaml"],
    ["bench", "solvers", "--clean", "clean", "--noisy", "noisy"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_what_a_cluster_cannot_do_is_a_line(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--ray", "nowhere"]) == 1
    assert "'nowhere' is no address of a Ray cluster" in capsys.readouterr().err
    assert main([*command, "--ray", "local", "-j", "2"]) == 1
    assert "leave -j out" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*command, "--ray", "local"]) == 1
    assert "sgmse-toolkit[ray]" in capsys.readouterr().err
    if command[:2] == ["bench", "suite.yaml"]:
        assert main([*command, "--ray", "local", "--device", "cuda:1"]) == 1
        assert "the device is cpu or cuda" in capsys.readouterr().err


def test_workers_need_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError), workers_of(Cluster()):
        pass


# On a cluster


@pytest.fixture
def machines(cluster):
    """Two machines with a core each."""
    nodes = [cluster.add_node(**ONE_CORE), cluster.add_node(**ONE_CORE)]
    cluster.wait_for_nodes()
    yield nodes
    for node in nodes:
        if node in cluster.worker_nodes:
            cluster.remove_node(node)


@pytest.mark.slow
def test_functions_on_machines(cluster, machines, tmp_path, monkeypatch):
    """Every item once; errors, warnings and deaths are those of their items."""
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    with workers_of(Cluster(cluster.address, attempts=2), said.append) as pool:
        assert pool.processes == 1
        assert list(pool.map_unordered(doubled, [])) == []
        assert sorted(pool.map_unordered(doubled, range(20))) == [(i, 2 * i) for i in range(20)]
        assert pool.processes == 2
        with pytest.raises(ArgumentError, match="not three"):
            list(pool.map_unordered(refusing, range(6)))
        with pytest.warns(RecordingWarning, match="1: noticed"):
            list(pool.map_unordered(warning, [1]))
        died: list[Death] = []

        def gone(number: int, death: Death) -> int:
            died.append(death)
            return -1

        made = dict(pool.map_unordered(Dying(), range(8), gone))
        assert made == {i: -1 if i == 5 else i for i in range(8)}
        assert [death.by_system for death in died] == [True]
        assert "5: its worker died; it is done again" in said
        with pytest.raises(WorkerError, match="5: 2 workers died over it"):
            list(pool.map_unordered(Dying(), [5]))


@pytest.mark.slow
def test_commands_on_machines_make_what_one_makes(corpus, cluster, machines, capsys):
    """Scores are equal, a file that is none is listed, and a second call scores nothing."""
    Path("noisy/2.wav").write_bytes(b"no sound")
    names = ",".join(MEASURES)
    address = ["--ray", cluster.address, "-q"]
    command = ["score", "clean", "noisy", "--measures", names]
    assert main([*command, "-o", "there", *address]) == 0
    assert main([*command, "-o", "here", "-j", "1", "-q"]) == 0
    said = capsys.readouterr()
    tables = [Path(place, "scores.csv").read_text() for place in ("there", "here")]
    assert tables[0] == tables[1]
    assert said.out.count("noisy") >= 2
    assert main([*command, "-o", "there", "--ray", cluster.address]) == 0
    assert "files were scored earlier" in capsys.readouterr().out

    arguments = ["clean", "noise", "--snr", "0,5", "-q"]
    assert main(["mix", *arguments[:2], "far", *arguments[2:], "--ray", cluster.address]) == 0
    assert main(["mix", *arguments[:2], "near", *arguments[2:]]) == 0
    assert_sets_alike("far", "near")


@pytest.mark.slow
def test_a_suite_on_machines_goes_on(corpus, cluster, machines, model):
    """Each file of each system by a worker; nothing is made twice by the next call."""
    Path("suite.yaml").write_text(
        "sets: {mine: {clean: clean, noisy: noisy}}\n"
        f"systems: {{noisy: {{class: Noisy}}, tiny: {{class: Model, model: {json.dumps(str(model))}"
        ", force: true}}\nmeasures: [si-sdr]\n"
    )
    run = ["bench", "suite.yaml"]
    assert main([*run, "-o", "there", "--ray", cluster.address, "-q"]) == 0
    assert main([*run, "-o", "here", "-j", "1", "-q"]) == 0
    made, expected = folder("there/mine/tiny"), folder("here/mine/tiny")
    assert made.keys() == expected.keys()
    assert len(made) == 6
    for name, content in made.items():
        assert_alike(content, expected[name])
    before = Path("there/runs.jsonl").read_text()
    assert main([*run, "-o", "there", "--ray", cluster.address, "-q"]) == 0
    assert Path("there/runs.jsonl").read_text() == before
