"""What the commands and DVC's stages do: prepare, search, evaluate and report, one cell or many at a time.

The command line and the scripts in stages/ take `cells` and `reports` (one thing at a time), `targets` (tables and cells, by
the executors of engine/), `datasets`, `plan` and `announce`. Only this room knows all the others; arguments are read in cli/.
"""
