"""Models to and from the Hugging Face hub, by the conventions of its `ModelHubMixin`.

    checkpoint = from_pretrained("owner/name")              a folder of that name comes first
    save_pretrained(checkpoint, "folder")
    push_to_hub(checkpoint, "owner/name")

A repository holds what a folder of the native format does: model.safetensors, config.json and the
card, README.md, and upper_band.safetensors and autoencoder.safetensors where the model has those.
No others are ever fetched or sent.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sgmse._checks import arguments
from sgmse.checkpoints.native import FILES, Checkpoint, load, save
from sgmse.config import Classes
from sgmse.errors import CheckpointError

__all__ = ["HUB", "fetch", "from_pretrained", "push_to_hub", "save_pretrained"]

HUB = "hf://"


def from_pretrained(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
    classes: Classes | None = None,
) -> Checkpoint:
    """The model in a folder or, if there is none of that name, in a hub repository.

    Args:
        name_or_path: a folder, "owner/name" or "hf://owner/name".
        revision: branch, tag or commit of the repository.
        token: for private repositories; True for the one that was stored by a login.
        cache_dir: where repositories are kept, that of the hub if absent.
        force_download: fetch again what is in the cache.
        local_files_only: take what is in the cache, without asking the network.
        classes: names of classes; `CLASSES`, which you extend by your own, if absent.

    Raises:
        CheckpointError: neither is there, the hub cannot be reached, or the model is damaged.
    """
    arguments(from_pretrained, locals())
    folder = Path(name_or_path)
    if not folder.is_dir():
        folder = fetch(
            str(name_or_path),
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
        )
    return load(folder, classes=classes)


def fetch(name: str, **options: Any) -> Path:
    """The local copy of a repository, "owner/name" or "hf://owner/name".

    Raises `CheckpointError`; the options are those of `from_pretrained` that are not `classes`.
    """
    repository = _repository(name)
    from huggingface_hub import snapshot_download

    with _failures_named(f"the hub gave no {name!r}", "check the name and the network"):
        return Path(snapshot_download(repository, allow_patterns=[*FILES], **options))


def save_pretrained(
    checkpoint: Checkpoint,
    save_directory: str | Path,
    *,
    card: str | None = None,
    classes: Classes | None = None,
) -> Path:
    """`save` under the name that the hub's users know; returns the folder."""
    return save(checkpoint, save_directory, card=card, classes=classes)


def push_to_hub(
    checkpoint: Checkpoint,
    repo_id: str,
    *,
    commit_message: str = "Upload a model of sgmse",
    private: bool | None = None,
    token: str | None = None,
    branch: str | None = None,
    create_pr: bool = False,
    card: str | None = None,
    classes: Classes | None = None,
) -> str:
    """Send a model to a repository, which is made if absent; returns the address of the commit.

    Args:
        checkpoint: what to send.
        repo_id: "owner/name" or "hf://owner/name".
        commit_message: of the commit.
        private: whether a repository that is made can be seen by its owner only.
        token: of an account that may write there; the one stored by a login if absent.
        branch: where to, "main" if absent.
        create_pr: open a pull request in place of a commit.
        card: the text of README.md; a short one is made if absent.
        classes: as for `from_pretrained`.

    Raises:
        CheckpointError: the hub cannot be reached or refuses.
    """
    repository = _repository(repo_id)
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    with TemporaryDirectory() as workplace:
        name = repository.split("/")[-1]
        folder = save(checkpoint, Path(workplace) / name, card=card, classes=classes)
        with _failures_named(f"the hub did not take {repo_id!r}"):
            api.create_repo(repository, private=private, exist_ok=True)
            if branch is not None:
                api.create_branch(repository, branch=branch, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                commit_message=commit_message,
                revision=branch,
                create_pr=create_pr,
                allow_patterns=[*FILES],
            )
            return str(commit.commit_url)


@contextmanager
def _failures_named(problem: str, remedy: str = "") -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        why = str(error).split("\n")[0]
        raise CheckpointError(f"{problem}: {why}{remedy and '; ' + remedy}") from error


def _repository(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repository := name.removeprefix(HUB)):
        absent = "" if name.startswith(HUB) else "there is no such folder, and "
        raise CheckpointError(f"no model {name!r}: {absent}a hub repository is {HUB}owner/name")
    return repository
