"""What the commands and DVC's stages do: prepare, search, evaluate and report, one cell or many at a time.

The only room that knows all others.
"""
