"""What a model hears: audio to the spectrogram that its network takes, and back.

audio -> padded at its end -> complex spectrogram -> frames added up to a multiple
"""

from dataclasses import dataclass
from math import lcm
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from sgmse._checks import kinds
from sgmse.errors import ArgumentError
from sgmse.transforms import Power, Spectrogram, Transform

WINDOW = 0.032  # seconds, where a model has no frames of its own


@dataclass(frozen=True)
class FrontEnd:
    """A transform at a sample rate, and how it is brought to a size that a network divides.

    Args:
        transform: what the network works on: a `Spectrogram`, or the `Waveform`.
        sample_rate: of the audio it works on, in Hz.
        padding: what frames are added: silence, or a reflection of the last ones.
        multiple: frames are added up to a multiple of this, too, as published models do.
        tail: what sounds at the end of the audio. "cover" pads the audio until its last samples lie
            well within a window, and drops the added frames; "published" takes it as it is, and
            the added frames sound in its last half frame.
        level: of the audio that comes out. "kept" is that of the speech in the recording, whatever
            the network makes of it (`sgmse.postprocessing.Level`); "published" is the network's.
    """

    transform: Transform
    sample_rate: int
    padding: Literal["zero", "reflect"] = "zero"
    multiple: int = 1
    tail: Literal["cover", "published"] = "cover"
    level: Literal["kept", "published"] = "kept"

    def __post_init__(self) -> None:
        kinds(self)
        for name, least in {"sample_rate": "Hz", "multiple": "frames"}.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ArgumentError(f"{name} must be a whole number of {least}, not {value!r}")
        choices = {
            "padding": ("zero", "reflect"),
            "tail": ("cover", "published"),
            "level": ("kept", "published"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                one, other = map(repr, known)
                raise ArgumentError(f"{name} must be {one} or {other}, not {getattr(self, name)!r}")

    def to(self, device: str | torch.device) -> None:
        """Move the weights that the transform has learned, if it has any, to a device."""
        if self.transform.learned is not None:
            learned = self.transform.learned.to(device)
            learned.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def refusal(self, divisor: int) -> str | None:
        """Why a network that takes multiples of so many frequencies cannot take these, or None."""
        if self.transform.frequencies % divisor == 0:
            return None
        return self.transform.misfit(divisor)

    def delays(self, shifts: int) -> list[int]:
        """Samples by which audio is delayed for its frames to lie at so many other places."""
        hop = self.transform.hop
        if not 1 <= shifts <= hop:
            raise ArgumentError(
                f"shifts must be a whole number from 1 to {hop}, the samples from one frame to the "
                f"next, not {shifts!r}"
            )
        return [round(shift * hop / shifts) for shift in range(shifts)]

    def forward(self, audio: Tensor, divisor: int = 1) -> Tensor:
        """Float (batch, samples) to complex (batch, 1, frequency, frame).

        The number of frames is a multiple of the network's `divisor`. Audio may be of any length.
        """
        audio = pad(audio, (0, max(self.transform.shortest - audio.shape[1], 0)))
        more = self._covering(audio.shape[1]) - audio.shape[1]
        mode = "reflect" if self.transform.ends == "reflect" else "constant"
        x = self.transform.forward(pad(audio, (0, more), mode))[:, None]
        extra = -x.shape[-1] % lcm(self.multiple, divisor)
        if self.padding == "reflect":
            while extra:  # in pieces, since a reflection is shorter than what it reflects
                piece = min(extra, x.shape[-1] - 1)
                x = torch.cat([x, x[..., -1 - piece : -1].flip(-1)], dim=-1)
                extra -= piece
        return pad(x, (0, extra))

    def frames(self, samples: int, divisor: int = 1) -> int:
        """Of so many samples in `forward`."""
        own = self.transform.frames(self._covering(max(samples, self.transform.shortest)))
        return own + -own % lcm(self.multiple, divisor)

    def inverse(self, spectrogram: Tensor, samples: int) -> Tensor:
        """Complex (batch, 1, frequency, frame) to float (batch, samples), as many as went in."""
        padded = self._covering(max(samples, self.transform.shortest))
        own = self.transform.frames(padded) if self.tail == "cover" else None
        return self.transform.inverse(spectrogram[:, 0, :, :own], padded)[:, :samples]

    def later(self, spectrogram: Tensor, samples: int, delay: int, divisor: int = 1) -> Tensor:
        """The same sound `delay` samples later, so that its frames lie elsewhere in it.

        It is of `samples + delay` samples; the first ones are silent.
        """
        return self.forward(pad(self.inverse(spectrogram, samples), (delay, 0)), divisor)

    def moderated(self, x: Tensor, y: Tensor, samples: int, strength: float) -> Tensor:
        """The `inverse` of a result x from y with that strength of its attenuation.

        What each bin has lost, in dB, is multiplied by it: in the frames of the model, or, of one
        that has no frequencies, in frames of 32 ms (`sgmse.transforms.strengthened`).
        """
        if (own := self.transform.spectral) is not None:
            return self.inverse(own.moderated(x, y, strength), samples)
        hop = max(round(WINDOW * self.sample_rate / 4), 1)
        plain = FrontEnd(Spectrogram(4 * hop, hop, Power(1.0, 1.0), "zero"), self.sample_rate)
        made, whole = (plain.forward(self.inverse(z, samples)) for z in (x, y))
        return plain.moderated(made, whole, samples, strength)

    def _covering(self, samples: int) -> int:
        return self.transform.covering(samples) if self.tail == "cover" else samples
