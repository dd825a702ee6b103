"""From params.yaml to cells: reading, mistakes in one line each, the grid of every table, claims' pairs, published values.

Others take `load.load_experiments`, which gives `experiments.Experiments`, and `cell.Cell`. A row becomes cells in `grid`;
`checks` refuses what does not go together; `claims` says which cells a claim compares (its verdict is computed in report/).
Nothing here knows torch, images or results.
"""
