"""Verdicts on claims: effects over seeds with their intervals, looks that were fixed beforehand, and what is still open.

Others take `claims.measure_effect` and the values that it gives, `open_claims`, and `statistics` for means and their intervals.
Nothing here writes a file.
"""
