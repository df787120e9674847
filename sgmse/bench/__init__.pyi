from .results import Results as Results
from .run import run_suite as run_suite
from .study import Study as Study
from .study import run_study as run_study
from .suite import Suite as Suite
from .suite import load_suite as load_suite
from .systems import System as System
