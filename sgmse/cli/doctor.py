"""Say what works on this machine, and what mends what does not.

Formats, devices, the models in the package and enhancing itself are tried; of the packages of
extras the versions are read. What it prints belongs in a report of a fault.

examples:
  sgmse doctor
  sgmse doctor --json
"""

import argparse
import json
import sys

from sgmse.cli.console import FAILED
from sgmse.cli.options import Commands, command


def add(commands: Commands) -> None:
    """Describe the command."""
    fails = "and where recordings cannot be enhanced here"
    parser = command(commands, "doctor", run, __doc__, fails)
    parser.json("one object")


def run(options: argparse.Namespace) -> int:
    """Print what is found, a line each with a line for its remedy; return 1 without enhancing."""
    from sgmse.cli.findings import findings, usable

    found = []
    for finding in findings():
        found.append(finding)
        if options.json:
            continue
        print(f"{finding.name:16}  {finding.state:9}  {finding.text}")
        if finding.remedy:
            print(f"{'':16}  {'':9}  -> {finding.remedy}")
        sys.stdout.flush()
    works = usable(found)
    if options.json:
        rows = [
            {"name": f.name, "state": f.state, "text": f.text, "remedy": f.remedy or None}
            for f in found
        ]
        print(json.dumps({"enhancing": works, "findings": rows}))
    return 0 if works else FAILED
