from .babble import Babble as Babble
from .cache import CachedRecordings as CachedRecordings, cached as cached
from .layouts import (
    LAYOUTS as LAYOUTS,
    Layout as Layout,
    detect as detect,
    layout_named as layout_named,
)
from .mixed_speech import MixedSpeech as MixedSpeech
from .mono import read_mono as read_mono
from .noisy_sets import MixedSet as MixedSet, Mixer as Mixer, Mixture as Mixture, mix as mix
from .paired import Paired as Paired
from .pairs import (
    Pair as Pair,
    Unmatched as Unmatched,
    evenly_spaced as evenly_spaced,
    find_index as find_index,
    match as match,
    match_all as match_all,
    read_index as read_index,
    recordings as recordings,
    recordings_by_name as recordings_by_name,
)
from .training_pairs import (
    ConsecutiveBatches as ConsecutiveBatches,
    PairDataset as PairDataset,
    TrainingData as TrainingData,
    section_pairs as section_pairs,
)
