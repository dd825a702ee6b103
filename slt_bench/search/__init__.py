"""The search of one cell: from its source network to its tickets, going on where it was stopped.

Others take `run.search`, `metrics.measure` and `checkpoint.Checkpoint`, which writes the saved
state that a stopped search goes on from. An algorithm is added in `methods`; what happens in a step is in `steps`. Nothing
here knows tables, reports or MLflow: a search tells a `run.Tracker` about its epochs.
"""
