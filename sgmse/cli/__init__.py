"""The command line: `sgmse COMMAND`, a module a command.

What is typed comes in, lines and an exit code go out; what can be computed is computed elsewhere.
Nothing heavy is imported before a command runs, so that `--help` and misuse are answered at once.
"""
