"""Suites of enhancers on test sets: systems x sets x seeds, enhanced, scored and reported.

A suite in YAML comes in; enhanced files, scores, costs and a report go out, and an interrupted run
goes on where it was. Systems are models of this library, peers, command lines and finished folders;
a `Study` compares the samplers of one model.
"""

import lazy_loader as _lazy

# Its names are in the stub beside this file; each module is imported when one is first asked for.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
