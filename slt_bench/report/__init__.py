"""Reports of tables from the results of their cells: Markdown, CSV, LaTeX, HTML, figures, claims and their verdicts.

Others take `results.table_results`, one value with all results of a table, and `write.write_report`, which writes that value
down. The verdict of a claim is computed in `verdicts`; figures are drawn in `figures`. Nothing here searches, or writes results
of cells.
"""
