"""Jobs on the machines of a cluster: nothing lost, nothing twice, equal to one machine."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
from fleet import Deadly, Telling, assert_alike, assert_folders_alike, recording

from sgmse import corpus
from sgmse.audio import Info, write
from sgmse.cli.main import main
from sgmse.corpus import Cluster, Job, Settings, make_plan, run_jobs, run_on_cluster
from sgmse.errors import ArgumentError, AudioError, MissingPackageError, WorkerError

ONE_CORE = {"num_cpus": 1}


# What is refused, without Ray


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"address": "nowhere"}, "'nowhere' is no address of a Ray cluster; use local"),
        ({"address": "ray://host"}, "is no address"),
        ({"address": "host:70000"}, "is no address"),
        ({"device": "cuda", "backend": "onnx"}, "computes on the CPU; use --device cpu"),
        ({"cores": 0}, "cores must be at least 1"),
        ({"at_once": 0}, "at_once must be at least 1"),
        ({"attempts": 0}, "attempts must be at least 1"),
        ({"patience": -1.0}, "patience must be a number of seconds"),
    ],
)
def test_settings_that_cannot_be(values, words):
    with pytest.raises(ArgumentError, match=words):
        Cluster(**values)


def test_without_ray_the_remedy_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'sgmse-toolkit\[ray\]'"):
        list(run_on_cluster([], tiny.enhancer()))
    assert main(["enhance", "x.wav", "--ray", "local"]) == 1
    assert capsys.readouterr().err.count("sgmse-toolkit[ray]") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.wav", "-o", "-", "--ray", "local"], "not with stdin or stdout"),
        (["x.wav", "--ray", "local", "--device", "cuda:1"], "device is cpu or cuda"),
        (["x.wav", "--ray", "x"], "no address of a Ray cluster"),
    ],
)
def test_what_a_cluster_cannot_do_is_a_line(arguments, words, capsys):
    assert main(["enhance", *arguments]) == 1
    assert words in capsys.readouterr().err


def test_jobs_of_streams_are_refused():
    with pytest.raises(ArgumentError, match="from files to files"):
        list(run_on_cluster([Job(Path("a.wav"))], tiny.enhancer()))


def test_nobody_at_the_address_is_found_at_once(capsys):
    pytest.importorskip("ray", reason="needs the extra ray")
    start = time.monotonic()
    assert main(["enhance", "x.wav", "--ray", "127.0.0.1:1"]) == 1
    assert "no Ray cluster answers at 127.0.0.1:1" in capsys.readouterr().err
    assert time.monotonic() - start < 30


# On a cluster


def plan(to: str, **options) -> list[Job]:
    return make_plan(["in"], to).checked(**options).jobs


def alone(network, to: str = "alone") -> dict[str, bytes]:
    """What one machine makes of the recordings."""
    enhancer = tiny.enhancer(network)
    outcomes = list(run_jobs(plan(to), lambda job, _: Settings().enhance(enhancer, job)))
    assert all(outcome.error is None for outcome in outcomes)
    return contents(to)


def contents(folder: str) -> dict[str, bytes]:
    """All files of a folder, hidden ones too."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def machine(cluster, **resources):
    """One more machine, of a core if nothing else is said."""
    node = cluster.add_node(**(resources or ONE_CORE))
    cluster.wait_for_nodes()
    return node


@pytest.fixture
def machines(cluster):
    """Two machines with a core each; which of them a test takes away is no matter."""
    nodes = [machine(cluster), machine(cluster)]
    yield nodes
    for node in nodes:
        if node in cluster.worker_nodes:
            cluster.remove_node(node)


@pytest.mark.slow
@pytest.mark.parametrize("apart", [False, True])
def test_two_machines_make_what_one_makes(apart, folder, cluster, machines):
    if apart:  # a core of each machine is left to who reads and writes
        machines.append(machine(cluster, num_cpus=2))
    enhancer, seconds = tiny.enhancer(), []
    outcomes = list(
        run_on_cluster(
            plan("out"), enhancer, Cluster(cluster.address, apart=apart), progress=seconds.append
        )
    )
    assert [outcome.error for outcome in outcomes] == [None] * 12
    assert len({outcome.job.source for outcome in outcomes}) == 12
    assert sum(seconds) == pytest.approx(sum(job.seconds for job in plan("x")))
    assert_folders_alike(contents("out"), alone(None))


@pytest.mark.slow
def test_a_worker_that_is_killed_half_way_changes_nothing(folder, cluster, machines):
    Path("pids").mkdir()
    network = Telling(str(folder / "pids"), 0.3)
    said, outcomes, killed = [], [], []
    ran = run_on_cluster(
        plan("out"), tiny.enhancer(network), Cluster(cluster.address), tell=said.append
    )
    for outcome in ran:
        outcomes.append(outcome)
        if len(outcomes) == 4:
            pids = [int(path.name) for path in Path("pids").iterdir()]
            assert len(pids) == 2  # both work
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)
    assert killed
    assert [outcome.error for outcome in outcomes] == [None] * 12
    assert len({outcome.job.source for outcome in outcomes}) == 12
    assert len(said) == 1
    assert said[0].endswith("its worker died; it is done again")
    assert_folders_alike(contents("out"), alone(network))


@pytest.mark.slow
def test_a_machine_that_is_lost_half_way_changes_nothing(folder, cluster, machines):
    Path("pids").mkdir()
    network = Telling(str(folder / "pids"), 0.3)
    said, outcomes = [], []
    ran = run_on_cluster(
        plan("out"), tiny.enhancer(network), Cluster(cluster.address), tell=said.append
    )
    for outcome in ran:
        outcomes.append(outcome)
        if len(outcomes) == 4:
            assert len(list(Path("pids").iterdir())) == 2
            cluster.remove_node(machines[1], allow_graceful=False)
    assert [outcome.error for outcome in outcomes] == [None] * 12
    assert len({outcome.job.source for outcome in outcomes}) == 12
    assert said
    # Which of them Ray notices first is chance.
    lost = {f"its {what}; it is done again" for what in ("machine was lost", "worker died")}
    assert {text.partition(": ")[2] for text in said} <= lost
    assert_folders_alike(contents("out"), alone(network))


@pytest.mark.slow
def test_machines_may_join_and_the_last_one_leave(folder, cluster):
    first, network = machine(cluster), Telling(str(folder), 0.3)
    ran = run_on_cluster(
        plan("out"), tiny.enhancer(network), Cluster(cluster.address, patience=1.0)
    )
    next(ran)
    second = machine(cluster)
    cluster.remove_node(first, allow_graceful=False)
    next(ran)
    next(ran)
    cluster.remove_node(second, allow_graceful=False)
    with pytest.raises(WorkerError, match=r"no machine .* is left; .* --skip-existing goes on"):
        list(ran)
    assert len(contents("out")) >= 3
    third = machine(cluster)
    rest = plan("out", skip_existing=True)
    assert len(rest) == 12 - len(contents("out"))
    list(run_on_cluster(rest, tiny.enhancer(network), Cluster(cluster.address)))
    assert_folders_alike(contents("out"), alone(network))
    cluster.remove_node(third)


@pytest.mark.slow
def test_a_recording_that_kills_workers_is_given_up_and_named(folder, cluster, machines):
    recording("in/long.wav", samples=4000)
    network = Deadly(frames=tiny.FRONT.frames(3000, 1))
    ran = run_on_cluster(
        plan("out"), tiny.enhancer(network), Cluster(cluster.address, at_once=3, attempts=2)
    )
    outcomes = {outcome.job.source.name: outcome.error for outcome in ran}
    assert len(outcomes) == 13
    (guilty,) = (name for name, error in outcomes.items() if error is not None)
    assert guilty == "long.wav"
    with pytest.raises(WorkerError, match="2 workers died over it, the last one since its worker"):
        raise outcomes[guilty]
    assert len(contents("out")) == 12


@pytest.mark.slow
def test_shards_are_jobs_like_others(folder, cluster, machines):
    for name in ("a.tar", "b.tar"):
        with tarfile.open(name, "w") as archive:
            for path in ("in/00.wav", "in/01.wav"):
                archive.add(path)
    Path("none.tar").write_text("no archive")
    jobs = make_plan(["a.tar", "b.tar"], "out").checked().jobs
    broken = Job(Path("none.tar"), Path("out/none.tar"))
    ran = run_on_cluster([*jobs, broken], tiny.enhancer(), Cluster(cluster.address))
    outcomes = {outcome.job.source.name: outcome for outcome in ran}
    assert isinstance(outcomes.pop("none.tar").error, AudioError)
    assert [outcome.job.seconds for outcome in outcomes.values()] == [pytest.approx(0.21)] * 2
    whole = alone(None)
    for name in ("a.tar", "b.tar"):
        with tarfile.open(f"out/{name}") as archive:
            made = {Path(m.name).name: archive.extractfile(m).read() for m in archive}
        assert_folders_alike(made, {own: whole[own] for own in ("00.wav", "01.wav")})


@pytest.mark.slow
def test_who_stops_leaves_nothing_half_done(folder, cluster, machines):
    network = Telling(str(folder), 0.2)
    ran = run_on_cluster(plan("out"), tiny.enhancer(network), Cluster(cluster.address))
    next(ran)
    ran.close()
    made = contents("out")
    whole = alone(network)
    assert 1 <= len(made) < 12
    assert_folders_alike(made, {name: whole[name] for name in made})


@pytest.mark.slow
def test_the_command_says_what_it_says_on_one_machine(folder, cluster, machines, model, capsys):
    Path("in/nan.wav").write_bytes(Path("in/00.wav").read_bytes()[:-100])  # cut off
    bright = 0.2 * np.random.default_rng(0).standard_normal((1, 48000)).clip(-3, 3)
    write("in/bright.wav", bright, Info(48000))
    line = ["enhance", "in", "--model", str(model), "--json", "--no-upper-band"]
    there = [*line, "-o", "out", "--ray", cluster.address, "--failures", "failed.jsonl"]
    rows = []
    for arguments, folder_ in ((there, "out"), ([*line, "-o", "alone"], "alone")):
        assert main(arguments) == 1
        out, err = capsys.readouterr()
        facts = [json.loads(row) for row in out.splitlines()]
        for fact in facts:
            fact.pop("elapsed")
            fact.pop("times_real_time")
            fact["target"] = fact["target"].replace(f"{folder_}/", "")
        rows.append(sorted(facts, key=lambda fact: fact["source"]))
        assert "cut off" in err
        assert "error: in/nan.wav" in err
        assert err.count("warning: in/bright.wav: sound above 8 kHz is left out") == 1
    assert rows[0] == rows[1]
    assert_folders_alike(contents("out"), contents("alone"))
    (failed,) = map(json.loads, Path("failed.jsonl").read_text().splitlines())
    assert failed["source"] == "in/nan.wav"
    assert "cut off" in failed["error"]
    assert main([*there, "--skip-existing"]) == 1
    assert [json.loads(row)["status"] for row in capsys.readouterr().out.splitlines()].count(
        "skipped"
    ) == 13


@pytest.mark.slow
def test_a_cluster_without_room_says_so(folder, cluster, machines):
    for options, words in (
        ({"cores": 2}, "no machine with 2 cores for a worker; use fewer"),
        ({"device": "cuda"}, "has no GPU; use --device cpu"),
    ):
        with pytest.raises(WorkerError, match=words):
            list(run_on_cluster(plan("out"), tiny.enhancer(), Cluster(cluster.address, **options)))


@pytest.mark.slow
def test_this_machine_is_a_cluster_of_its_own(folder):
    pytest.importorskip("ray", reason="needs the extra ray")
    outcomes = list(corpus.run_on_cluster(plan("out"), tiny.enhancer()))
    assert len(outcomes) == 12
    assert_folders_alike(contents("out"), alone(None))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_ended_leaves_whole_results(number, folder, model):
    pytest.importorskip("ray", reason="needs the extra ray")
    for i in range(6):
        recording(f"long/{i}.wav", samples=20 * tiny.RATE, seed=i)
    line = ["enhance", "long", "-o", "out", "--model", str(model), "--ray", "local"]
    command = [sys.executable, "-m", "sgmse", *line, "--failures", "failed.jsonl"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as running:
        assert "long/" in running.stdout.readline()
        running.send_signal(number)
        _, err = running.communicate(timeout=120)
    assert running.returncode == 130
    assert err.splitlines()[-1].endswith("finished files are kept; --skip-existing goes on")
    assert 1 <= len(contents("out")) < 6
    for name, content in contents("out").items():
        assert_alike(content, alone_of(f"long/{name}"))
    assert Path("failed.jsonl").read_text() == ""


def alone_of(name: str) -> bytes:
    tiny.enhancer().enhance_file(name, "one.wav", overwrite=True)
    return Path("one.wav").read_bytes()
