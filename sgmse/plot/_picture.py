"""A figure of Matplotlib that a notebook shows by itself; imported where something is drawn."""

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A figure without `pyplot`, as which IPython would know how to show it."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", facecolor=self.get_facecolor())
        return content.getvalue()
