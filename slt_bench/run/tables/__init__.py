"""Whole tables: what is announced, run, decided, planned, reported, kept and verified of them, through DVC or without it.

The command line and the scripts in stages/ take `targets` (run tables and cells), `plan`, `reports`, `decide`, `rates`,
`verify` and `announce`. How one cell is run is the business of the room around this one.
"""
