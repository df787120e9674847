"""What spoils clean speech: noise, rooms, filters, overdrive, codecs, lost packets.

Numpy in, numpy out; audio is float32 (samples,). A degradation is a frozen dataclass of ranges;
what it draws comes from the generator that it is given, and nothing else decides: the same
generator gives the same audio. None of them delays what it passes on; those with the phase of an
analogue circuit (`HighPass`, `MicrophoneColour`) smear it, with the first response at delay 0.
"""

from sgmse.data.degradations.bands import HighPass, LowPass, Resampled
from sgmse.data.degradations.base import (
    Audio,
    Degradation,
    Linear,
    Range,
    alike,
    check_probability,
    check_range,
    decibels,
)
from sgmse.data.degradations.codecs import Codec
from sgmse.data.degradations.colour import MicrophoneColour
from sgmse.data.degradations.gains import Dropouts, GainChanges, GainControl
from sgmse.data.degradations.gate import NoiseGate
from sgmse.data.degradations.overdrive import Clip, Quantise
from sgmse.data.degradations.packets import PacketLoss
from sgmse.data.degradations.rooms import SPEED_OF_SOUND, Room
from sgmse.data.degradations.sources import Speed, active_power, add_noise

__all__ = [
    "SPEED_OF_SOUND",
    "Audio",
    "Clip",
    "Codec",
    "Degradation",
    "Dropouts",
    "GainChanges",
    "GainControl",
    "HighPass",
    "Linear",
    "LowPass",
    "MicrophoneColour",
    "NoiseGate",
    "PacketLoss",
    "Quantise",
    "Range",
    "Resampled",
    "Room",
    "Speed",
    "active_power",
    "add_noise",
    "alike",
    "check_probability",
    "check_range",
    "decibels",
]
