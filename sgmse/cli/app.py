"""Open a page in the browser: drop or record, listen before and after, take the result.

It runs on this machine and asks no other one for anything; nobody else reaches it. What is dropped
and what comes of it lie in a temporary folder, which is gone when the command ends.

examples:
  sgmse app                          and a browser opens
  sgmse app --no-browser --port 8000
  sgmse app --model runs/mine/best   one more model to choose
"""

import argparse

from sgmse.cli import console
from sgmse.cli.options import Commands, command, count, positive, whole


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "app", run, __doc__)
    parser.value("--model", "MODEL", "one more model to choose, and the first: a folder or a file")
    parser.switch("browser", "show the page (default)", default=True)
    parser.group("where")
    parser.value("--port", "N", "to listen at (default: 7860, or the next that is free)", whole)
    parser.value(
        "--host",
        "ADDRESS",
        "to listen at; another one than loopback lets in whoever reaches this machine",
        default="127.0.0.1",
    )
    parser.group("limits")
    parser.value("--max-minutes", "N", "of a recording", positive, default=30.0)
    parser.value("--max-megabytes", "N", "of a file", positive, default=500.0)
    parser.value("--max-files", "N", "at once", count, default=50)


@console.interruptible("the page is closed, and its files are gone")
def run(options: argparse.Namespace) -> int:
    """Serve it until Ctrl-C."""
    from sgmse.app import Limits, Settings, require, serve

    require()
    limits = Limits(options.max_minutes, options.max_megabytes, options.max_files)
    settings = Settings(options.host, options.port, options.model, limits, options.browser)
    if not settings.on_loopback:
        console.warn(f"{options.host} is no loopback address: whoever reaches it can use the page")
    serve(settings, console.say)
    return 0
