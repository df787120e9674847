"""Enhanced recordings scored against clean ones, and what may be claimed of the scores.

    from sgmse.scoring import Table, score

    scores = score("clean/", ["noisy/", "enhanced/"], workers=4)
    Table(scores, baseline="noisy").differences["enhanced"]["PESQ-WB"]

Pairs of files and measures come in; out come scores that know of what they were made, and a table
of their means with bootstrap intervals and paired differences. Nothing is printed or written here
but a journal, from which an interrupted run goes on.
"""

import lazy_loader as _lazy

# Its names are in the stub beside this file; each module is imported when one is first asked for.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
