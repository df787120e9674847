"""Audio as a model has heard it, for those who solve by themselves."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pad

from sgmse._pieces import Drawing
from sgmse.solvers import Model


@dataclass(frozen=True, eq=False)
class Observed:
    """What `solve` needs of audio, and the way back (`Enhancer.observe`).

    Args:
        model: estimates clean audio and noise from a state; of one with a predictor, what has heard
            the audio.
        y: (batch, 1, frequency, frame), to where its process leads: the audio, or what a predictor
            has made of it.
        samples: of the audio.
        delay: samples by which the frames of `y` lie earlier in it.
        drawing: of the enhancer.
    """

    model: Model
    y: Tensor
    samples: int
    delay: int
    drawing: Drawing

    def spectrogram(self, audio: Tensor) -> Tensor:
        """Other audio, (batch, samples), such as clean one, in the frames of y."""
        return self.drawing.spectrogram(pad(audio, (self.delay, 0)))

    def audio(self, x: Tensor) -> Tensor:
        """What a state, such as the solution, sounds like: (batch, samples)."""
        return self.drawing.front.inverse(x, self.delay + self.samples)[:, self.delay :]
