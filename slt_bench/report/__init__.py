"""Reports of tables from the results of their cells: Markdown, CSV, LaTeX, HTML, figures, claims and their verdicts.

`results.table_results` makes one value of a table's results; everything else here writes that value down. Nothing here
searches, or writes results of cells.
"""
