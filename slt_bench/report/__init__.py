"""Reports: result files of a table's cells -> Markdown, CSV, LaTeX and figures."""
