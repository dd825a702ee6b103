"""Source networks: architectures, layouts and budgets of frozen edges, and the random weights and roles of every edge.

Others take `registry.architecture` (one as it is declared: `build` makes ours, `factory` anybody's), `budget.freeze` (how many
edges of each layer are frozen) and `source.make_source` (weights). The equation of each layout is in `layouts`. Nothing here
knows masks, tickets or searches.
"""
