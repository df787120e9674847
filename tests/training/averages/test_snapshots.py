import json

import pytest
import torch
from safetensors.torch import save_file

from sgmse.errors import RecipeError
from sgmse.training.averages import snapshots
from sgmse.training.averages.profiles import Profile
from sgmse.training.averages.snapshots import combine, find_snapshots, remove_later, save_snapshot

ABOUT = {"model": {"sde": {"class": "SBVE", "k": 2.6}}, "training": {"steps": 3}}


def states(scale: float) -> dict[float, dict[str, torch.Tensor]]:
    w = scale * torch.arange(6.0).reshape(2, 3)
    return {
        length: {"w": w + length, "norm": w[0, :1] + 2, "count": torch.tensor(int(scale))}
        for length in (0.05, 0.1)
    }


def saved(folder, step, scale=1.0, updates=None):
    return save_snapshot(folder, states(scale), step=step, updates=updates or step, **ABOUT)


def test_a_snapshot_says_what_it_holds(tmp_path):
    folder = tmp_path / "run" / "averages"
    assert find_snapshots(folder) == []
    for step in (1500, 20, 3):
        path = saved(folder, step, updates=step - 1)
    assert path.name == "step-00000003.safetensors"
    found = find_snapshots(folder)
    assert [s.step for s in found] == [3, 20, 1500]
    assert found[0].profiles == [Profile(2, 0.05), Profile(2, 0.1)]
    assert (found[0].model, found[0].training) == (ABOUT["model"], ABOUT["training"])
    assert len(list(folder.iterdir())) == 3


def test_a_file_of_the_first_version_is_read(tmp_path):
    """Its names are literal here: they must stay."""
    path = tmp_path / "step-00000007.safetensors"
    about = {"format": 1, "step": 7, "updates": 6, "lengths": [0.05, 0.1], **ABOUT}
    tensors = {"0/w": torch.ones(2), "1/w": 3 * torch.ones(2)}
    save_file(tensors, path, {"about": json.dumps(about)})
    (snapshot,) = find_snapshots(tmp_path)
    assert snapshot.profiles == [Profile(6, 0.05), Profile(6, 0.1)]
    assert combine([snapshot], [0.5, 0.5], {"w"})["w"].tolist() == [2, 2]


def test_a_combination_is_a_sum_in_float64(tmp_path):
    saved(tmp_path, 1), saved(tmp_path, 2, 10.0)
    # summed in float32, a millionth would be lost
    weights = [1e6, -1e6, 1.0, 1e-6]
    made = combine(find_snapshots(tmp_path), weights, {"w"})
    stored = [state["w"].double() for s in (1.0, 10.0) for state in states(s).values()]
    expected = sum(x * w for x, w in zip(weights, stored, strict=True))
    assert made["w"].dtype == torch.float32
    assert torch.equal(made["w"], expected.float())
    # all else is that of the last
    assert made["count"] == 10
    assert torch.equal(made["norm"], states(10.0)[0.1]["norm"])
    with pytest.raises(ValueError, match="zip"):
        combine(find_snapshots(tmp_path), weights[1:], {"w"})


def test_a_failure_leaves_the_file_before(tmp_path, monkeypatch):
    path = saved(tmp_path, 3)
    before = path.read_bytes()

    def half(tensors, part, metadata):
        part.write_bytes(before[:100])
        raise OSError("no space left")

    monkeypatch.setattr(snapshots, "save_file", half)
    with pytest.raises(OSError, match="no space"):
        saved(tmp_path, 3, 2.0)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_those_after_a_step_are_removed(tmp_path):
    for step in (3, 4, 5):
        saved(tmp_path, step)
    (tmp_path / "notes.txt").touch()
    remove_later(tmp_path, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt", "step-00000003.safetensors"]
    remove_later(tmp_path / "absent", 0)


def test_what_is_no_snapshot_is_named(tmp_path):
    path = saved(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RecipeError, match=r"step-00000003.safetensors is damaged \("):
        find_snapshots(tmp_path)
    for about in ({}, {"about": json.dumps({"format": 2})}):
        save_file({"x": torch.zeros(1)}, path, about)
        with pytest.raises(RecipeError, match=r"is not a snapshot of format 1; remove it"):
            find_snapshots(tmp_path)
    save_file({"x": torch.zeros(1)}, path, {"about": json.dumps({"format": 1, "step": 3})})
    with pytest.raises(RecipeError, match=r"is not a whole snapshot .*lengths"):
        find_snapshots(tmp_path)
