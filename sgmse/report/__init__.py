"""Scores for readers: text, charts, clips to listen to, and a page with all of them.

    table = Table(scores)
    print(summary(table, by=["snr_db"]))
    write(table, "scores/")

A `sgmse.scoring.Table` comes in; Markdown, LaTeX, CSV, JSON, figures and HTML go out. Nothing is
computed here that `sgmse.scoring` can say.
"""

import lazy_loader as _lazy

# Its names are in the stub beside this file; each module is imported when one is first asked for.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
