"""Source networks: architectures, layouts and budgets of frozen edges, and the random weights and roles of every edge.

Others take `registry.build` (an architecture by name), `budget.freeze` (how many edges of each layer are frozen) and
`source.make_source` (weights). The equation of each layout is in `layouts`. Nothing here knows masks, tickets or searches.
"""
