"""A page in the browser: drop or record, listen before and after, take the result.

    serve(Settings(port=7860))

Recordings come in from a browser on this machine; pictures, sounds and files go back to it. `work`
does what is asked without any web, `markup` says it in HTML, `page` lays it out with Gradio (extra
`app`), and `server` lets in nothing but this page. What is kept lies in one temporary folder.
"""

from sgmse.app.server import Settings, require, serve
from sgmse.app.work import Limits

__all__ = ["Limits", "Settings", "require", "serve"]
