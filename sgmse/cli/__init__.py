"""The command line: `sgmse COMMAND`, a module a command, each with `add` and `run`.

What is typed comes in; lines, files and an exit code go out; what can be computed is computed in
the rooms below. A command imports what is heavy when it runs, so that `--help` and misuse are
answered at once. A new one is a module beside these, named in `sgmse.cli.main`.
"""
