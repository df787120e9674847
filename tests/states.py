"""States of trainings, compared to the bit."""

from pathlib import Path

import torch

from sgmse.training.state import load_state


def flat(value, name=""):
    """All tensors and numbers of nested dictionaries, by their path."""
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in flat(item, f"{name}.{key}").items()}
    if isinstance(value, list):
        return flat(dict(enumerate(value)), name)
    return {name: value}


def assert_same_state(one: Path, two: Path) -> None:
    left, right = (vars(load_state(folder / "training_state.pt")) for folder in (one, two))
    left, right = ({k: v for k, v in s.items() if k != "seconds"} for s in (left, right))
    left, right = flat(left), flat(right)
    assert left.keys() == right.keys()
    assert len(left) > 100
    for name, value in left.items():
        same = torch.equal(value, right[name]) if torch.is_tensor(value) else value == right[name]
        assert same, name
