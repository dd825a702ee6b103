"""The work of commands and stages: prepare, search and evaluate, one cell or many at a time; whole tables in `tables`.

The command line and the scripts in stages/ take `cells` and `evaluate` (one thing at a time), `many` (by the executors of
engine/) and `datasets`. Only this room knows all the others; arguments are read in cli/.
"""
