"""Commands of the command line, a module each: `add(parsers)` describes it, and it runs itself.

Nothing heavy is imported before a command runs.
"""
