"""Checkpoints: what is saved is what is loaded, and what is damaged is named."""

import json
import pickle
from dataclasses import dataclass, replace
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors.torch import load_file, save_file
from tiny import Identity, Predictive, checkpoint, network, regeneration, with_sampler

import sgmse
from sgmse.checkpoints import CLASSES, Checkpoint, load, locate, save
from sgmse.errors import CheckpointError
from sgmse.estimates import Data, Score
from sgmse.front import FrontEnd
from sgmse.model import ScoreModel
from sgmse.networks import NCSNpp, Network
from sgmse.sdes import OUVE, SBVE
from sgmse.solvers import Exponential, LogSNR, PredictorCorrector, Sampler, Uniform
from sgmse.transforms import Log, Spectrogram

OWN = CLASSES | {"Predictive": Predictive}
FILES = ["README.md", "config.json", "model.safetensors"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(checkpoint(), tmp_path / "tiny")


def parts(a: Checkpoint) -> dict:
    return {
        name: (type(part), part.config) if isinstance(part, Network) else part
        for name, part in a.model.parts.items()
    }


def assert_same(a: Checkpoint, b: Checkpoint) -> None:
    for name in ("front", "sampler", "licence", "training"):
        assert getattr(a, name) == getattr(b, name)
    assert parts(a) == parts(b)
    ours, theirs = a.model.state_dict(), b.model.state_dict()
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype
        assert torch.equal(value, theirs[name]), name


def test_a_round_trip_changes_no_bit(tmp_path, sde):
    model = ScoreModel(network(), sde, Data() if sde.forgets else Score())
    front = FrontEnd(Spectrogram(62, 16, Log()), 8000, "reflect")
    ours = Checkpoint(model, front, Sampler(PredictorCorrector(), LogSNR(7)), "MIT")
    assert_same(load(save(ours, tmp_path)), ours)


def test_a_round_trip_keeps_the_solver(tmp_path, solver):
    ours = replace(checkpoint(), sampler=Sampler(solver, LogSNR(7), 3))
    assert_same(load(save(ours, tmp_path)), ours)


def test_a_round_trip_keeps_the_grid(tmp_path, grid):
    ours = replace(checkpoint(), sampler=Sampler(PredictorCorrector(), grid, 3))
    assert_same(load(save(ours, tmp_path)), ours)


def test_a_round_trip_of_the_published_network(tmp_path):
    torch.manual_seed(1)
    net = NCSNpp(channels=4, multipliers=(1, 2), blocks=1, bins=8)
    training = {"data": ["a", "b"], "steps": 7, "scores": {"pesq": 2.5}, "note": "é"}
    ours = Checkpoint(
        ScoreModel(net, OUVE(), Score(sign=-1)),
        FrontEnd(Spectrogram(14, 4), 48000),
        Sampler(PredictorCorrector(), LogSNR(30)),
        training=training,
    )
    assert_same(load(save(ours, tmp_path)), ours)


def regenerating(conditioning: str = "both", moved: float = 0.0) -> Checkpoint:
    front = FrontEnd(Spectrogram(62, 16), 16000, multiple=64, tail="published")
    sampler = Sampler(PredictorCorrector(), Uniform(5))
    return Checkpoint(regeneration(conditioning, moved), front, sampler)


@pytest.mark.parametrize("conditioning", ["noisy", "post", "both"])
def test_a_round_trip_of_a_model_with_a_predictor(tmp_path, conditioning):
    ours = regenerating(conditioning, 0.25)
    assert_same(load(save(ours, tmp_path, classes=OWN), classes=OWN), ours)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["predictor"] == {"class": "Predictive", "gain": 0.7}
    assert config["moved"] == 0.25
    assert (config["conditioning"], config["front"]["multiple"]) == (conditioning, 64)
    assert (config["format"], config["network"]["class"]) == (2, "NCSNpp")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"conditioning": "late"}, "conditioning must be 'noisy' or 'post' or 'both', not 'late'"),
        ({"conditioning": "post"}, "needs a network of 1 observations, not 2"),
        ({"conditioning": ["both"]}, "conditioning must be"),
        ({"moved": 1.5}, "moved must be a share of the distance between two frames, .* not 1.5"),
        ({"predictor": {"class": "OUVE"}}, "predictor.class: unknown 'OUVE'; it may be CausalUNet"),
        ({"predictor": "Predictive"}, "predictor: write {class: NAME, .*, not 'Predictive'"),
        ({"predictor": None}, "does not fit its config"),
        ({"front.multiple": 0}, "front: multiple must be a whole number of frames, not 0"),
        ({"sampler.shifts": 0}, "sampler: shifts must be at least 1, not 0"),
        ({"sampler.shifts": 17}, "shifts must be a whole number from 1 to 16, .* not 17"),
        ({"sampler.shifts": "2"}, "sampler.shifts must be a whole number, not '2'"),
    ],
)
def test_a_bad_predictor_is_named(tmp_path, changes, says):
    save(regenerating(), tmp_path, classes=OWN)
    edit(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=says):
        load(tmp_path, classes=OWN)


def test_a_round_trip_of_a_latest_time(tmp_path):
    model = ScoreModel(network(), SBVE(), Score(), latest=0.999)
    ours = with_sampler(replace(checkpoint(), model=model), grid=Uniform(3, start=0.999))
    assert load(save(ours, tmp_path)).model.latest == 0.999
    edit(tmp_path, latest=2)
    with pytest.raises(CheckpointError, match="latest must lie between 0 and 1, not 2"):
        load(tmp_path)
    edit(tmp_path, latest=...)
    with pytest.raises(CheckpointError, match=r"has a\(1\) = 0"):
        load(tmp_path)


def test_a_round_trip_of_the_length_of_pieces(tmp_path):
    for name, ours in {"own": replace(checkpoint(), segment=30.0), "usual": checkpoint()}.items():
        kept = load(save(ours, tmp_path / name))
        assert kept.segment == sgmse.load(tmp_path / name).segment == ours.segment
    edit(tmp_path / "own", segment=1)
    with pytest.raises(CheckpointError, match="segment must be at least 2, not 1"):
        load(tmp_path / "own")


def test_a_config_from_before_there_were_predictors(folder):
    edit(folder, **{"latest": ..., "front.multiple": ..., "front.tail": ..., "sampler.shifts": ...})
    assert_same(load(folder), checkpoint())


def test_a_loaded_model_is_for_use(folder):
    loaded = load(folder).model
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert {p.device.type for p in loaded.parameters()} == {"cpu"}


def test_saving_leaves_the_model_as_it_was(tmp_path):
    ours = checkpoint()
    ours.model.train().requires_grad_(True)
    ours.model.to(memory_format=torch.channels_last)
    save(ours, tmp_path)
    assert ours.model.training
    assert all(p.requires_grad for p in ours.model.parameters())
    assert_same(load(tmp_path), ours)


def test_half_the_space_is_a_rounding(tmp_path):
    ours = checkpoint()
    whole, half = (save(ours, tmp_path / str(b), half=b) for b in (False, True))
    sizes = [(place / "model.safetensors").stat().st_size for place in (whole, half)]
    assert sizes[1] < 0.65 * sizes[0]  # names and shapes stay
    loaded = load(half)
    before, after = (c.model.state_dict() for c in (ours, loaded))
    assert all(after[name].dtype == value.dtype for name, value in before.items())
    assert all(torch.equal(after[name], value.half().float()) for name, value in before.items())
    assert loaded.front == ours.front
    weight = next(ours.model.parameters())
    with torch.no_grad():
        weight.view(-1)[0] = 1e5
    with pytest.raises(CheckpointError, match=r"weights of 100000, and 16 bits hold 65504"):
        save(ours, half, half=True)
    assert_same(load(half), loaded)  # what was there is as it was


def test_the_files(folder):
    assert sorted(p.name for p in folder.iterdir()) == FILES
    config = json.loads((folder / "config.json").read_text())
    assert config["format"] == 2
    assert config["sde"] == {"class": "SBVE", "k": 2.6, "c": 0.4}
    assert config["sampler"]["solver"] == {
        "class": "Exponential",
        "eta": 0.0,
        "start": 0.0,
        "whole": False,
        "unknown": None,
    }
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: sgmse\n")
    assert "license: CC0-1.0\n" in card
    assert "SBVE(k=2.6, c=0.4)" in card


def test_a_card_of_ones_own(tmp_path):
    save(checkpoint(), tmp_path, card="# Mine\n")
    assert (tmp_path / "README.md").read_text() == "# Mine\n"


def test_saving_again_replaces(folder):
    other = replace(checkpoint(), licence="MIT", training={"steps": 3})
    save(other, folder)
    assert_same(load(folder), other)
    assert "steps: 3" in (folder / "README.md").read_text()
    assert sorted(p.name for p in folder.iterdir()) == FILES


def test_a_failure_while_saving_leaves_the_old_and_nothing_else(folder, monkeypatch):
    before = {name: (folder / name).read_bytes() for name in FILES}

    def full(self, content):
        Path.touch(self)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        save(replace(checkpoint(), licence="MIT"), folder)
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_what_cannot_be_written_touches_nothing(tmp_path):
    with pytest.raises(ValueError, match="object is not one of the classes"):
        save(replace(checkpoint(), training={"where": object()}), tmp_path / "new")
    with pytest.raises(ValueError, match="Identity is not one of the classes"):
        save(checkpoint(Identity()), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"training": ["steps"]}, "training must be a table"),
    ],
)
def test_bad_values_are_refused(options, says):
    with pytest.raises(TypeError, match=says):
        replace(checkpoint(), **options)


def test_too_many_shifts_for_the_front_end_are_refused():
    with pytest.raises(ValueError, match=r"from 1 to 16, the samples from one frame .* not 17"):
        with_sampler(checkpoint(), shifts=17)


FORMAT_1 = """{
  "format": 1,
  "sample_rate": 16000,
  "network": {"class": "SlimUNet", "channels": [4, 8], "blocks": [1, 1], "dual_paths": 1,
    "embedding": 8, "hidden": null, "taps": 1},
  "sde": {"class": "SBVE", "k": 2.6, "c": 0.4},
  "parametrization": {"class": "Data"},
  "latest": 1.0,
  "transform": {"class": "Spectrogram", "n_fft": 62, "hop": 16,
    "compression": {"class": "Power", "exponent": 0.5, "factor": 0.15}, "ends": "reflect"},
  "solver": {"class": "Exponential", "eta": 0.0, "start": 0.0},
  "grid": {"class": "Uniform", "steps": 1, "start": 1.0, "end": 0.0, "finish": true},
  "padding": "reflect",
  "frames": %d,
  "shifts": 2,
  "licence": "CC0-1.0",
  "training": {"steps": 3}
}"""


@pytest.mark.parametrize(("frames", "tail"), [(1, "cover"), (64, "published")])
def test_format_1_is_read(folder, frames, tail):
    (folder / "config.json").write_text(FORMAT_1 % frames)
    found = load(folder)
    assert found.front == FrontEnd(Spectrogram(62, 16), 16000, "reflect", frames, tail)
    assert found.sampler == Sampler(Exponential(start=0.0), Uniform(1, end=0.0), 2)
    assert (found.licence, found.training) == ("CC0-1.0", {"steps": 3})
    assert_same(load(save(found, folder)), found)
    config = json.loads((folder / "config.json").read_text())
    assert config["format"] == 2
    (folder / "config.json").write_text((FORMAT_1 % 1).replace("padding", "paddin"))
    refused(folder, "does not take 'paddin'")
    (folder / "config.json").write_text((FORMAT_1 % 1).replace('"latest"', '"front"'))
    refused(folder, "sample_rate is front.sample_rate now")


@dataclass(frozen=True)
class MySDE(OUVE):
    extra: float = 0.0


class MyNetwork(Identity):
    def __init__(self, gain=1.0):
        super().__init__()
        self.config = {"gain": gain}
        self.gain = torch.nn.Parameter(torch.tensor(gain))


def test_own_classes(tmp_path):
    classes = CLASSES | {"MySDE": MySDE, "MyNetwork": MyNetwork}
    model = ScoreModel(MyNetwork(0.5), MySDE(extra=0.1), Data())
    ours = Checkpoint(model, FrontEnd(Spectrogram(62, 16), 16000), Sampler())
    save(ours, tmp_path, classes=classes)
    assert_same(load(tmp_path, classes=classes), ours)
    with pytest.raises(CheckpointError, match=r"network\.class: unknown 'MyNetwork'"):
        load(tmp_path)


# Damage


def edit(folder: Path, **changes: object) -> None:
    """Set keys, such as "front.padding"; ... removes them."""
    config = json.loads((folder / "config.json").read_text())
    for key, value in changes.items():
        *path, last = key.split(".")
        section = reduce(getitem, path, config)
        section[last] = value
        if value is ...:
            del section[last]
    (folder / "config.json").write_text(json.dumps(config))


def refused(folder: Path, says: str) -> None:
    with pytest.raises(CheckpointError, match=says) as error:
        load(folder)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 500 + 2 * len(str(folder))
    assert str(folder) in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 3}, r"config\.json has format 3, newer than 2; update sgmse"),
        ({"format": ...}, "is not the config of a model: it has no 'format'"),
        ({"format": "1"}, "it has no 'format'"),
        ({"format": 0}, "it has no 'format'"),
        ({"sde": ...}, r"config\.json does not describe a model: Config lacks 'sde'"),
        ({"front.sample_rate": ...}, r"front \(FrontEnd\) lacks 'sample_rate'"),
        ({"licenc": "MIT"}, "Config does not take 'licenc' .did you mean 'licence'"),
        ({"front.sample_rate": "16000"}, "front.sample_rate must be a whole number, not '160"),
        (
            {"sde": {"class": "OUVEE"}},
            "not describe a model: sde.class: unknown 'OUVEE' .did",
        ),
        (
            {"sde": {"class": "OUVE", "tetha": 1}},
            "sde .OUVE. does not take 'tetha' .did you",
        ),
        ({"sde": {"class": "Data"}}, "sde.class: unknown 'Data'; it may be BBED"),
        ({"network": "SlimUNet"}, "network: write {class: NAME, .*, not 'SlimUNet'"),
        ({"sampler.grid": [1, 0.5]}, "sampler.grid: write {class: NAME, .* of AsinhSNR"),
        ({"parametrization": {"class": "Score"}}, r"has a\(1\) = 0"),
        ({"front.padding": "wrap"}, "front.padding must be 'zero' or 'reflect', not 'wrap'"),
        ({"training": None}, "training must be"),
        ({"network": {"class": "SlimUNet"}}, "model.safetensors does not fit its config"),
    ],
)
def test_a_bad_config_is_named(folder, changes, says):
    edit(folder, **changes)
    refused(folder, says)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\0", "[" * 100000, '"a"'])
def test_a_config_that_is_none(folder, text):
    (folder / "config.json").write_text(text)
    refused(folder, r"config\.json (cannot be read|is not the config of a model)")


def test_a_config_in_no_encoding(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe{}")
    refused(folder, "cannot be read")


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_value_in_a_config_loads_or_is_refused(folder, data):
    config = json.loads((folder / "config.json").read_text())
    try:
        changed = json.loads(json.dumps(config))
        holder = changed
        key = data.draw(st.sampled_from(sorted(holder)))
        while isinstance(holder[key], dict) and holder[key] and data.draw(st.booleans()):
            holder = holder[key]
            key = data.draw(st.sampled_from(sorted(holder)))
        holder[key] = data.draw(plain)
        (folder / "config.json").write_text(json.dumps(changed))
        try:
            load(folder)
        except CheckpointError as error:
            assert "\n" not in str(error)  # noqa: PT017 (it may load as well)
    finally:
        (folder / "config.json").write_text(json.dumps(config))


def test_missing_files_are_named(tmp_path, folder):
    refused(tmp_path / "nowhere", "the model .*nowhere does not exist")
    refused(tmp_path, r"has no config\.json; name a model in it: .*tiny")
    refused(folder / "model.safetensors", "is a file; a model is a folder with")
    (folder / "model.safetensors").unlink()
    refused(folder, r"has no model\.safetensors; copy the whole folder again")
    (folder / "model.safetensors").mkdir()
    refused(folder, "model.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_weights_that_are_cut_off(folder, keep):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    refused(folder, r"model\.safetensors is damaged .*; copy it again")


def test_weights_that_do_not_fit(folder):
    path = folder / "model.safetensors"
    state = load_file(path)
    first = next(iter(state))
    save_file(state | {first: torch.zeros(3, 3)}, path)
    refused(folder, f"does not fit its config: .*{first}")
    save_file({n: v for n, v in state.items() if n != first}, path)
    refused(folder, f"Missing key.*{first}")
    save_file(state | {"odd": torch.zeros(1)}, path)
    refused(folder, "Unexpected key.*odd")
    save_file(state | {first: state[first] * torch.nan}, path)
    refused(folder, f"not finite, such as {first}")


def test_nothing_is_executed(folder, tmp_path):
    """A pickle in place of the weights is damage, not a program."""

    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    refused(folder, "is damaged")
    torch.save({"a": Bomb()}, folder / "model.safetensors")
    refused(folder, "is damaged")
    assert not (tmp_path / "executed").exists()


def test_the_default_model_loads():
    loaded = load(locate("default"))
    assert loaded.licence
    assert all(p.isfinite().all() for p in loaded.model.parameters())
