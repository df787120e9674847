import pickle
from dataclasses import replace

import pytest
import torch

from sgmse.errors import RecipeError
from sgmse.training.state import Position, TrainingState, load_state, save_state

STATE = TrainingState(
    step=3,
    items=24,
    seconds=1.5,
    network={"w": torch.arange(6.0).reshape(2, 3)},
    average={"w": torch.ones(2, 3)},
    updates=3,
    optimiser={"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]},
    best=None,
    model={"sde": {"class": "SBVE", "k": 2.6}},
    averages={0.05: {"w": torch.full((2, 3), 0.1)}},
    adversary={"optimiser": {"state": {}}},
)


def test_a_state_comes_back_as_it_was(tmp_path):
    path = tmp_path / "run" / "state.pt"
    save_state(STATE, path)
    state = load_state(path)
    assert torch.equal(state.network["w"], STATE.network["w"])
    assert torch.equal(state.average["w"], STATE.average["w"])
    assert torch.equal(state.averages[0.05]["w"], STATE.averages[0.05]["w"])
    assert state.optimiser == STATE.optimiser
    tensors = {"network": {}, "average": {}, "averages": {}}
    assert replace(state, **tensors) == replace(STATE, **tensors)
    assert [p.name for p in path.parent.iterdir()] == ["state.pt"]


def test_a_file_of_the_first_version_is_read(tmp_path):
    """Its keys are literal here: they must stay. Absent is what came later."""
    values = {
        "format": 1,
        "step": 3,
        "items": 24,
        "seconds": 1.5,
        "network": {"w": torch.ones(2)},
        "average": {"w": torch.zeros(2)},
        "updates": 2,
        "optimiser": {"state": {}, "param_groups": []},
        "best": 2.5,
        "model": {"sample_rate": 16000},
    }
    torch.save(values, tmp_path / "state.pt")
    state = load_state(tmp_path / "state.pt")
    assert all(getattr(state, name) is not None for name in values if name != "format")
    assert state.learned == state.averages == state.adversary == {}
    position = state.position
    assert (position.step, position.items, position.best, position.spent) == (3, 24, 2.5, 1.5)
    save_state(state, tmp_path / "again.pt")
    later = {"learned": {}, "averages": {}, "adversary": {}}
    assert torch.load(tmp_path / "again.pt").keys() == (values | later).keys()


def test_a_position_is_moved_by_its_own_methods():
    position = Position()
    for finite in (True, False, False):
        position.advance(8, finite)
    assert (position.step, position.items, position.skipped) == (3, 24, 2)
    position.advance(8, True)
    assert position.skipped == 0


def test_a_failure_leaves_the_state_before(tmp_path):
    path = tmp_path / "state.pt"
    save_state(STATE, path)
    with pytest.raises(Exception, match=r"pickle|local object"):
        save_state(replace(STATE, model={"f": lambda: 0}), path)
    assert load_state(path).step == 3
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


class Trap:
    sprung = False

    @staticmethod
    def spring():
        Trap.sprung = True

    def __reduce__(self):
        return Trap.spring, ()


def test_reading_runs_nothing(tmp_path):
    path = tmp_path / "state.pt"
    torch.save({"format": 1, "step": Trap()}, path)
    with pytest.raises(RecipeError, match="cannot be read"):
        load_state(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(RecipeError, match="cannot be read"):
        load_state(path)
    assert not Trap.sprung


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1], "not a training state of format 1"),
        ({"format": 2}, "not a training state of format 1"),
        ({"format": 1, "step": 3}, "missing or unknown: average, best, items"),
    ],
)
def test_what_is_no_state_is_refused(tmp_path, values, message):
    torch.save(values, tmp_path / "x.pt")
    with pytest.raises(RecipeError, match=message):
        load_state(tmp_path / "x.pt")
