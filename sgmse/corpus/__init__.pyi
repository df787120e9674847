from .cluster import Cluster as Cluster
from .dispatch import run_on_cluster as run_on_cluster
from .hands import workers_of as workers_of
from .jobs import (
    Job as Job,
    Lost as Lost,
    Made as Made,
    Outcome as Outcome,
    run_jobs as run_jobs,
    speed as speed,
    summary as summary,
)
from .planning import Plan as Plan, make_plan as make_plan, with_pictures as with_pictures
from .remarks import gathered as gathered, heard as heard
from .settings import Settings as Settings
