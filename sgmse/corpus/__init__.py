"""Many recordings in one call, on the cores of this machine or on many machines.

    from sgmse import corpus

    plan = corpus.make_plan(["recordings/"], "clean/").checked(skip_existing=True)
    enhancer, cluster = sgmse.load(device="cpu"), corpus.Cluster("auto")
    for outcome in corpus.run_on_cluster(plan.jobs, enhancer, cluster):
        print(outcome.line())

A plan says which files are meant and where each result goes; jobs are run by threads (`run_jobs`)
or by workers of a Ray cluster (`run_on_cluster`), with the same results; outcomes say what became
of each. A result depends on its recording, the model and the seed alone, and its file appears whole
or not at all. So a job that was lost is done again without harm, and a call that was interrupted is
made again: what exists is skipped. What scores, mixes and compares takes the workers of a cluster
in place of a number of processes (`workers_of`).
"""

import lazy_loader as _lazy

# Its names are in the stub beside this file; each module is imported when one is first asked for.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
