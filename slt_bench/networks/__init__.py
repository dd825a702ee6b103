"""Source networks: architectures, the layouts of frozen edges, and the random weights and roles of every edge.

Nothing here knows masks, tickets or searches.
"""
