"""What lies on disk of a cell, and what it was made with: paths, history, provenance, whether a result is of today.

Nothing here knows how a search works.
"""
