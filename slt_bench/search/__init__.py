"""The search of one cell: from its source network to its tickets, going on where it was stopped.

Others take `run.search` and `metrics.measure`. Nothing here knows tables, reports or MLflow.
"""
