"""The command `slt-bench`: what a user can ask for, and that it is something possible.

Nothing is taken from here. Heavy libraries are imported by the commands that need them.
"""
