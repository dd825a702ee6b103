"""From params.yaml to cells: reading it, what goes together, the grid of each table, published values.

Others take `load` and `cell.Cell`. Nothing here knows torch, images or results.
"""
