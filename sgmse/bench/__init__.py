"""Suites of enhancers on test sets: systems x sets x seeds, enhanced, scored and reported.

    suite = load_suite("suite.yaml")          # what: sets, systems, seeds, measures
    planned = plan(suite, "results/")         # all that can be refused is refused here
    results = start(planned, workers=4)       # enhanced files, scores, costs; both: run_suite
    results.write("results/")                 # tables, figures; results.report: a page

A suite, in YAML or made of objects, comes in; enhanced files, scores, costs and tables go out, and
an interrupted run goes on where it was. Systems are models of this library, peers, command lines
and finished folders; a `Study` compares the samplers of one model.
"""

import lazy_loader as _lazy

# Its names are in the stub beside this file; each module is imported when one is first asked for.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
