from .costs import pareto as pareto
from .house import Theme as Theme, save as save
from .posterior import Posterior as Posterior
from .processes import forward as forward, reverse as reverse, scales as scales
from .sampling import trajectories as trajectories
from .sounds import (
    before_after as before_after,
    spectrogram as spectrogram,
    waveform as waveform,
)
