"""results/: what is kept of tables in the repository, small enough for it, and the static site that shows it.

Others take `archive.archive`, which keeps the report of a table with the ticket of each of its lines (`tickets`), `table`,
which reads that back, and `site.write_site`. Everything that is shown follows from the files in results/ alone: neither
params.yaml nor the outputs of cells are needed.
"""
