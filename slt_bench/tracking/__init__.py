"""MLflow as a view of the results: rebuilt from them at any time (`runs`), and while a search runs (`live`).

Others take `live.LiveRun`, which tells MLflow of a running search, `runs.track`, which rebuilds a table's runs, and `view`, the
comparison in the browser. A table has an experiment, in it a run a setting with the means, and under that a run a seed. No
number is taken from MLflow: the result files hold everything.
"""
