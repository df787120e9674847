from .intervals import (
    Difference as Difference,
    Interval as Interval,
    corrected as corrected,
    holm as holm,
    interval as interval,
    paired as paired,
)
from .journal import Row as Row
from .outcomes import (
    Change as Change,
    Outcomes as Outcomes,
    changes as changes,
    outcomes as outcomes,
    wilson as wilson,
)
from .pair import PairScores as PairScores, score_pair as score_pair
from .pareto import pareto_front as pareto_front
from .ranks import mean_ranks as mean_ranks
from .scores import (
    Scorer as Scorer,
    Scores as Scores,
    Stages as Stages,
    Task as Task,
    match_folders as match_folders,
    score as score,
    score_tasks as score_tasks,
)
from .table import Table as Table
from .thresholds import Threshold as Threshold, failures as failures
