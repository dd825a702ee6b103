"""MLflow as a view of the result files: rebuilt from them at any time (`runs`), and while a search runs (`live`).

One experiment a table; in it one run a setting, with the means, and under it one run a seed.
"""
