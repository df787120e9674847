"""Curves in Weights & Biases, without a network."""

import sys
import types
from pathlib import Path

import pytest

from sgmse.errors import MissingPackageError, RecipeError
from sgmse.training import shared
from sgmse.training.trainer import Trainer


def test_a_run_that_resumes_goes_on_with_its_own(tmp_path):
    assert shared.earlier(tmp_path) is None
    for name in ("offline-run-20260101_000000-first1", "run-20260102_000000-second"):
        (tmp_path / "wandb" / name).mkdir(parents=True)
    (tmp_path / "wandb" / "latest-run").touch()
    assert shared.earlier(tmp_path) == "second"


@pytest.mark.parametrize("project", ["", " ", "team/"])
def test_a_project_has_a_name(project):
    with pytest.raises(ValueError, match="wandb must be PROJECT or TEAM/PROJECT"):
        Trainer(steps=1, wandb=project)


def test_a_folder_of_that_name_is_not_the_package(tmp_path, monkeypatch):
    """W&B makes one in every working folder, which Python would import."""
    for name in [name for name in sys.modules if name.split(".")[0] == "wandb"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(MissingPackageError, match=r"sgmse-toolkit\[wandb\]"):
        shared.require()


class Told:
    """What a run of W&B is told, in its place."""

    def __init__(self) -> None:
        self.logged: list[dict] = []
        self.defined: list[tuple] = []
        self.ended: list[int] = []

    def log(self, values):
        self.logged.append(values)

    def define_metric(self, name, step_metric=None):
        self.defined.append((name, step_metric))

    def finish(self, exit_code=0):
        self.ended.append(exit_code)


@pytest.fixture
def told(monkeypatch):
    """W&B as far as it is used; tells what it was begun with, too."""
    run, begun = Told(), []
    package = types.ModuleType("wandb")
    package.errors = types.SimpleNamespace(Error=ConnectionError)
    package.Audio = lambda wave, sample_rate: ("audio", len(wave), sample_rate)
    package.Image = lambda figure: ("image", figure)

    def init(**settings):
        begun.append(settings)
        if settings["project"] == "unreachable":
            raise ConnectionError("no key")
        return run

    package.init = init
    monkeypatch.setitem(sys.modules, "wandb", package)
    monkeypatch.setitem(sys.modules, "wandb.sdk", types.ModuleType("wandb.sdk"))
    return run, begun


def test_who_is_not_known_gets_a_line(told, tmp_path):
    with pytest.raises(RecipeError, match="no key; log in with wandb login"):
        shared.SharedCurves(tmp_path, "unreachable", {})


@pytest.mark.slow
def test_a_training_shows_what_it_keeps(told, run):
    """The points of curves.csv, the recipe and examples; the end is told."""
    pytest.importorskip("lightning")
    pytest.importorskip("tensorboard")
    told_of, begun = told
    folder = run("trainer.wandb=team/mine", "validation.examples=1")
    (settings,) = begun
    assert (settings["entity"], settings["project"], settings["name"]) == ("team", "mine", "run")
    assert settings["config"]["trainer"]["steps"] == 8
    assert settings["dir"] == str(folder)
    assert ("*", "step") in told_of.defined
    lines = [values for values in told_of.logged if "training/loss" in values]
    assert [values["step"] for values in lines] == [2, 4, 6, 8]
    header, *rows = Path(folder, "curves.csv").read_text().splitlines()
    loss = header.split(",").index("training/loss")
    kept = [row.split(",")[loss] for row in rows if row.split(",")[loss]]
    assert kept == [f"{values['training/loss']:.8g}" for values in lines]
    shown = [v for values in told_of.logged for v in values.values() if isinstance(v, tuple)]
    assert {kind for kind, *_ in shown} == {"audio", "image"}
    assert told_of.ended == [0]
    with pytest.raises(Exception, match="holds a run"):
        run("trainer.wandb=mine")
    assert len(begun) == 1  # nothing is begun where nothing can start


@pytest.mark.slow
def test_offline_it_is_kept_in_the_run_folder(run, monkeypatch):
    pytest.importorskip("lightning")
    pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = run("trainer.wandb=mine", "trainer.steps=4", "validation.examples=1")
    (first,) = (folder / "wandb").glob("offline-run-*")
    assert list(first.glob("*.wandb"))
    run("trainer.wandb=mine", resume=True)
    ids = {path.name.rpartition("-")[2] for path in (folder / "wandb").glob("offline-run-*")}
    assert ids == {shared.earlier(folder)}
