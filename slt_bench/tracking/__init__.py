"""MLflow as a view of the results: rebuilt from them at any time (`runs`), and while a search runs (`live`).

A table has an experiment, in it a run a setting with the means, and under that a run a seed.
"""
