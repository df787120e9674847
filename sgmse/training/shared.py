"""The curves of a training in Weights & Biases, beside those in the run folder.

Without a network its own setting WANDB_MODE=offline writes them to RUN/wandb, and `wandb sync`
sends them later.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sgmse._extras import imported
from sgmse.errors import RecipeError
from sgmse.training.state import one_line
from sgmse.training.validation import Example, figure

STEP = "step"
FOLDER = "wandb"  # which it makes in that of the run


def require() -> None:
    """Raise `MissingPackageError` unless it is installed; a folder of that name is not enough."""
    imported("wandb.sdk", "trainer.wandb", "wandb")


class SharedCurves:
    """A run of Weights & Biases; one that resumes goes on with its own.

    Args:
        folder: of the training.
        project: "PROJECT" or "TEAM/PROJECT".
        recipe: its plain values, which are shown with the curves.

    Raises:
        RecipeError: it cannot be reached, or does not know the user.
    """

    def __init__(self, folder: Path, project: str, recipe: Mapping[str, Any]) -> None:
        self.wandb = imported("wandb", "trainer.wandb", "wandb")
        team, _, name = project.rpartition("/")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self.run = self.wandb.init(
                project=name,
                entity=team or None,
                name=folder.name,
                dir=str(folder),
                id=earlier(folder),
                resume="allow",
                config=dict(recipe),
            )
        except self.wandb.errors.Error as error:
            raise RecipeError(
                f"trainer.wandb: {one_line(error)}; log in with wandb login, or set "
                "WANDB_MODE=offline and send the curves later with wandb sync"
            ) from error
        # Not its own count of calls: a run that resumes repeats some steps.
        self.run.define_metric(STEP)
        self.run.define_metric("*", step_metric=STEP)

    def add(self, step: int, points: Mapping[str, float]) -> None:
        """Points of curves at a step, by name."""
        self.run.log({STEP: step, **points})

    def show(self, step: int, example: Example, rate: int) -> None:
        """What a validation made of a recording, to hear and to see."""
        shown: dict[str, Any] = {STEP: step}
        for name in ("noisy", "enhanced", "clean"):
            wave = torch.as_tensor(getattr(example, name)).flatten().numpy()
            shown[f"{example.name}/{name}"] = self.wandb.Audio(wave, sample_rate=rate)
        shown[example.name] = self.wandb.Image(figure(example, rate))
        self.run.log(shown)

    def close(self, failed: bool = False) -> None:
        """Send what is left."""
        self.run.finish(exit_code=int(failed))


def earlier(folder: Path) -> str | None:
    """The id of the newest run in a folder, RUN/wandb/[offline-]run-TIME-ID; None without one."""
    runs = (path for path in (folder / FOLDER).glob("*run-*-*") if path.is_dir())
    newest = max(runs, key=lambda path: path.name.split("-")[-2], default=None)
    return None if newest is None else newest.name.rpartition("-")[2]
