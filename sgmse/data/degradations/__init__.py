"""What spoils clean speech: noise, rooms, filters, overdrive, codecs, lost packets.

Numpy in, numpy out; audio is float32 (samples,). A degradation is a frozen dataclass of ranges;
what it draws comes from the generator that it is given, and nothing else decides: the same
generator gives the same audio. None of them delays what it passes on; those with the phase of an
analogue circuit (`HighPass`, `MicrophoneColour`) smear it, with the first response at delay 0.
"""

from sgmse.data._checked import (
    Checked as Checked,
    Probability as Probability,
    Range as Range,
    SomeOf as SomeOf,
    Within as Within,
)
from sgmse.data.degradations._base import (
    Audio as Audio,
    Degradation as Degradation,
    Linear as Linear,
    alike as alike,
    decibels as decibels,
)
from sgmse.data.degradations.bands import (
    HighPass as HighPass,
    LowPass as LowPass,
    Resampled as Resampled,
)
from sgmse.data.degradations.codecs import Codec as Codec
from sgmse.data.degradations.colour import MicrophoneColour as MicrophoneColour
from sgmse.data.degradations.floor import NoiseFloor as NoiseFloor
from sgmse.data.degradations.gains import (
    Dropouts as Dropouts,
    GainChanges as GainChanges,
    GainControl as GainControl,
)
from sgmse.data.degradations.gate import NoiseGate as NoiseGate
from sgmse.data.degradations.overdrive import Clip as Clip, Quantise as Quantise
from sgmse.data.degradations.packets import PacketLoss as PacketLoss
from sgmse.data.degradations.rooms import SPEED_OF_SOUND as SPEED_OF_SOUND, Room as Room
from sgmse.data.degradations.sources import (
    Speed as Speed,
    active_power as active_power,
    add_noise as add_noise,
    frame_powers as frame_powers,
    strong_mean as strong_mean,
)

#: Those that a recipe may name. A new one has a file, and its name here.
DEGRADATIONS: tuple[type[Degradation], ...] = (
    *(LowPass, HighPass, Resampled, Clip, Quantise, GainChanges, GainControl, Dropouts),
    *(PacketLoss, MicrophoneColour, NoiseGate, NoiseFloor, Codec),
)
