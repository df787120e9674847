from ._again import read_results as read_results
from ._network_peers import (
    DTLN as DTLN,
    GTCRN as GTCRN,
    Hush as Hush,
    NetworkPeer as NetworkPeer,
)
from ._peers import (
    DeepFilterNet3 as DeepFilterNet3,
    LogMMSE as LogMMSE,
    NoiseReduce as NoiseReduce,
    Peer as Peer,
    RNNoise as RNNoise,
    Speex as Speex,
    WebRTC as WebRTC,
    Wiener as Wiener,
)
from ._programs import Command as Command
from ._restorers import (
    WPE as WPE,
    LinearPrediction as LinearPrediction,
    LinearUpsampling as LinearUpsampling,
    SplineDeclipping as SplineDeclipping,
    SplineGaps as SplineGaps,
)
from ._results import Results as Results
from ._study_results import StudyResults as StudyResults
from ._systems import (
    Folder as Folder,
    Noisy as Noisy,
    SignalEnhancer as SignalEnhancer,
    System as System,
)
from .models import Model as Model
from .run import Plan as Plan, plan as plan, run_suite as run_suite, start as start
from .study import Study as Study, run_study as run_study
from .suite import (
    SYSTEMS as SYSTEMS,
    NoisySet as NoisySet,
    Suite as Suite,
    load_suite as load_suite,
)
