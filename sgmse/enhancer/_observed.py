"""Audio as a model has heard it, for those who solve by themselves."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pad

from sgmse._checks import number
from sgmse._pieces import Drawing
from sgmse.model import Refinement, ScoreModel


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

    model: ScoreModel | Refinement
    y: Tensor
    samples: int
    delay: int
    drawing: Drawing

    def spectrogram(self, audio: Tensor) -> Tensor:
        """Other audio, (batch, samples), such as clean one, in the frames of y."""
        return self.drawing.spectrogram(pad(audio, (self.delay, 0)))

    def audio(self, x: Tensor, strength: float = 1.0) -> Tensor:
        """What a state, such as the solution, sounds like: (batch, samples).

        With another strength than 1 what it has lost of the audio, in dB, is multiplied by that,
        as `Enhancer` does by its own.
        """
        front, samples = self.drawing.front, self.delay + self.samples
        if number("strength", strength, 0, 2) == 1:
            return front.inverse(x, samples)[:, self.delay :]
        y = self.model.heard(self.y).expand_as(x)
        return front.moderated(x, y, samples, strength)[:, self.delay :]
