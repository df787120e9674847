"""Several devices, and several batches a step, learn what one does from the same pairs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning")

from states import assert_same_state

from sgmse.errors import RecipeError
from sgmse.training.recipe_files import load_recipe
from sgmse.training.state import TrainingState, load_state

#: At t = 1 the state of a bridge is the observation: what noise and time are drawn is no matter.
AT_ONE = ("times={at_one: 1.0}", "validation=null")


def moments(folder: Path) -> tuple[TrainingState, list[torch.Tensor]]:
    """The state of a run, and the first moments of its gradients: after a step, 0.1 of them."""
    state = load_state(folder / "training_state.pt")
    return state, [values["exp_avg"] for values in state.optimiser["state"].values()]


def assert_alike(one: Path, other: Path) -> None:
    """They saw as many pairs and had the same gradients, but for the order of sums."""
    (state, ours), (their_state, theirs) = moments(one), moments(other)
    assert (state.step, state.items) == (their_state.step, their_state.items)
    largest = max(float(values.abs().max()) for values in ours)
    for mine, other_one in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other_one, rtol=0, atol=1e-5 * largest)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        (),  # times and noise of all pairs of a step are drawn at once
        pytest.param(("times.stratified=true",), marks=pytest.mark.slow),
        pytest.param(
            ("loss={class: Denoising, weighting: {class: Uncertainty}}",), marks=pytest.mark.slow
        ),
        pytest.param(("times.loss_aware={bins: 2, history: 1}",), marks=pytest.mark.slow),
    ],
)
def test_batches_one_after_the_other_are_one_step(run, overrides):
    shared = ("validation=null", "trainer.steps=2", *overrides)
    one = run("trainer.batch=4", *shared, output="one")
    two = run("trainer.batch=2", "trainer.accumulate=2", *shared, output="two")
    assert_alike(one, two)
    assert load_state(two / "training_state.pt").items == 8


def test_discriminators_take_whole_steps(recipe_file):
    overrides = ["trainer.accumulate=2", "adversarial={discriminators: {windows: [256]}}"]
    with pytest.raises(RecipeError, match=r"discriminators learn from all pairs .*accumulate=1"):
        load_recipe(recipe_file, overrides)


#: A training as the command line starts it. Says who writes what; may be interrupted on one device.
SCRIPT = """
import os, signal, sys
from pathlib import Path

rank, run = os.environ.get("LOCAL_RANK", "0"), os.environ["RUN"]

def hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        written = set(mode or "") & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR)
    elif event in ("os.rename", "os.mkdir", "os.remove"):
        path, written = arguments[0], True
    else:
        return
    if written and isinstance(path, (str, os.PathLike)) and str(path).startswith(run):
        os.write(record, f"{rank} {path}\\n".encode())

record = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
sys.addaudithook(hook)

if stop := os.environ.get("STOP"):
    from sgmse.training.module import Training
    step = Training.training_step
    def interrupted(self, batch, batch_idx):
        if self.position.step == int(stop) and rank == "0":
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, batch_idx)
    Training.training_step = interrupted

from sgmse.cli.main import main
sys.exit(main())
"""


@pytest.fixture
def devices(recipe_file: Path, corpus: Path, tmp_path: Path):
    """Trains with two processes: (exit code, what they said)."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def start(*overrides: str, output: str, by=(sys.executable,), stop: int | None = None, **more):
        folder = tmp_path / output
        line = [*by, script, "train", recipe_file, "--data", corpus, "-o", folder]
        for override in (*overrides, "trainer.devices=2", f"trainer.cache={tmp_path / 'cache'}"):
            line += ["--set", override]
        line += ["--resume"] if more.get("resume") else []
        environment = os.environ | {
            "RUN": str(folder),
            "RECORD": str(tmp_path / f"{output}.txt"),
            "OMP_NUM_THREADS": "1",
            "STOP": "" if stop is None else str(stop),
        }
        done = subprocess.run(
            line, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        return done.returncode, done.stdout + done.stderr

    return start


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(devices, run, tmp_path):
    one = run(*AT_ONE, "trainer.batch=4", "trainer.steps=1", output="one")
    for output, overrides in {
        "two": ("trainer.batch=2",),
        "parts": ("trainer.batch=1", "trainer.accumulate=2"),
    }.items():
        code, said = devices(*AT_ONE, *overrides, "trainer.steps=1", output=output)
        assert code == 0, said
        # Once, by the first process.
        assert said.count("done after 1 steps") == 1
        assert_alike(one, tmp_path / output)
        written = [
            line.split(" ", 1) for line in (tmp_path / f"{output}.txt").read_text().split("\n")[:-1]
        ]
        assert {rank for rank, _ in written} == {"0"}
        assert any("training_state.pt" in path for _, path in written)


@pytest.mark.slow
def test_two_processes_resume_as_if_never_interrupted(devices, tmp_path):
    code, said = devices(output="whole")
    assert code == 0, said
    code, said = devices(output="parts", stop=4)  # by a signal that one of them gets
    assert code == 130, said
    assert load_state(tmp_path / "parts" / "training_state.pt").step == 5
    code, said = devices(output="parts", resume=True)
    assert code == 0, said
    assert_same_state(tmp_path / "whole", tmp_path / "parts")
    assert load_state(tmp_path / "whole" / "training_state.pt").items == 32  # 8 steps, 2, 2 devices


@pytest.mark.slow
def test_torchrun_starts_the_same_training(devices, tmp_path):
    code, said = devices(*AT_ONE, "trainer.steps=2", output="lightning")
    assert code == 0, said
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2")
    by = (*torchrun, "--master-port=29617")
    code, said = devices(*AT_ONE, "trainer.steps=2", output="torchrun", by=by)
    assert code == 0, said
    assert_alike(tmp_path / "lightning", tmp_path / "torchrun")
