"""The command `slt-bench`: its commands, options and arguments, and the checks of what users type.

No other room takes anything from here. The work is done in run/; heavy libraries are imported by the commands that need them.
"""
