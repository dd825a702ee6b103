"""Source networks: architectures, layouts and budgets of frozen edges, and the random weights and roles of every edge.

Nothing here knows masks, tickets or searches.
"""
