"""What is sent to the hub and fetched from it; a folder stands for the hub."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from tiny import checkpoint

from sgmse.checkpoints.hub import fetch, from_pretrained, push_to_hub, save_pretrained
from sgmse.errors import CheckpointError
from sgmse.networks import BandGains

FILES = {"README.md", "config.json", "model.safetensors"}


class Hub:
    """An account whose repositories are folders."""

    def __init__(self, root: Path) -> None:
        self.root, self.asked = root, []

    def api(self, token: str | None = None):
        self.asked.append(("token", token))
        return self

    def create_repo(self, repository: str, *, private: bool | None, exist_ok: bool) -> None:
        assert exist_ok
        self.asked.append(("create", repository, private))

    def create_branch(self, repository: str, *, branch: str, exist_ok: bool) -> None:
        self.asked.append(("branch", repository, branch))

    def upload_folder(self, *, repo_id: str, folder_path: Path, allow_patterns: list, **more):
        self.asked.append(("upload", repo_id, more))
        target = self.root / repo_id
        target.mkdir(parents=True, exist_ok=True)
        for file in Path(folder_path).iterdir():
            if file.name in allow_patterns:
                shutil.copy(file, target)
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/1")

    def snapshot_download(self, repository: str, *, allow_patterns: list, **more) -> str:
        self.asked.append(("download", repository, more))
        if not (self.root / repository).is_dir():
            raise LocalEntryNotFoundError(f"{repository} is not there\nat all")
        beside = {"upper_band.safetensors", "autoencoder.safetensors"}
        assert set(allow_patterns) == FILES | beside
        return str(self.root / repository)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    made = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", made.api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    return made


def same(one, other) -> None:
    assert one.training == other.training
    assert (one.sampler, one.front) == (other.sampler, other.front)
    assert one.model.sde == other.model.sde
    first, second = one.model.trained.state_dict(), other.model.trained.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("prefix", ["", "hf://"])
def test_round_trip(hub, prefix):
    model = checkpoint()
    address = push_to_hub(model, f"{prefix}someone/tiny", card="# Mine\n", private=True, token="t")
    assert address == "https://hub/someone/tiny/commit/1"
    assert {path.name for path in (hub.root / "someone/tiny").iterdir()} == FILES
    assert (hub.root / "someone/tiny/README.md").read_text() == "# Mine\n"
    assert hub.asked[:2] == [("token", "t"), ("create", "someone/tiny", True)]
    same(from_pretrained(f"{prefix}someone/tiny"), model)


def test_an_upper_band_goes_there_and_back(hub):
    model = replace(checkpoint(), upper_band=BandGains(hidden=8))
    push_to_hub(model, "someone/wide")
    again = from_pretrained("someone/wide")
    same(again, model)
    for name, value in model.upper_band.state_dict().items():
        assert torch.equal(again.upper_band.state_dict()[name], value)


def test_what_is_asked_for_reaches_the_hub(hub):
    push_to_hub(checkpoint(), "a/b", branch="next", create_pr=True, commit_message="Better")
    assert ("branch", "a/b", "next") in hub.asked
    sent = {"commit_message": "Better", "revision": "next", "create_pr": True}
    assert hub.asked[-1] == ("upload", "a/b", sent)
    asked = {
        "revision": "v1",
        "token": True,
        "cache_dir": "here",
        "force_download": True,
        "local_files_only": True,
    }
    assert fetch("a/b", **asked) == hub.root / "a/b"
    assert hub.asked[-1] == ("download", "a/b", asked)


def test_a_card_is_made(hub):
    push_to_hub(checkpoint(), "someone/tiny")
    card = (hub.root / "someone/tiny/README.md").read_text()
    assert card.startswith("---\nlibrary_name: sgmse")
    assert "# tiny" in card


def test_a_folder_comes_first(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_pretrained(checkpoint(), "someone/tiny")
    same(from_pretrained("someone/tiny"), checkpoint())
    assert not hub.asked


def test_errors_are_one_line(hub):
    with pytest.raises(CheckpointError, match=r"gave no 'a/b': a/b is not there; check the name"):
        from_pretrained("a/b")
    for name in ("nothing", "a/b/c", "hf://", "../x"):
        with pytest.raises(CheckpointError, match="a hub repository is hf://owner/name"):
            from_pretrained(name)
        with pytest.raises(CheckpointError, match="a hub repository is hf://owner/name"):
            push_to_hub(checkpoint(), name)

    def broken(*_, **__):
        raise OSError("no network\nmore")

    hub.create_repo = broken
    with pytest.raises(CheckpointError, match=r"the hub did not take 'a/b': no network$"):
        push_to_hub(checkpoint(), "a/b")


def test_without_a_network(monkeypatch, tmp_path):
    """The real thing: nothing in the cache, and the network not asked."""
    with pytest.raises(CheckpointError, match=r"^the hub gave no 'no-one/nothing': .*"):
        from_pretrained("no-one/nothing", local_files_only=True, cache_dir=tmp_path)
