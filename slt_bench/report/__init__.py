"""Tables from the results of their cells: Markdown, CSV, LaTeX, HTML, claims and their verdicts.

Nothing here searches or writes results.
"""
