"""The results of cells on disk: their files, what they were made with, and whether they still hold.

Others take `standing` (done, diverged, stale or missing, and why), `result` (the results that may be compared), `history`,
`provenance`, `code_digest` and `shared` (results that several tables have). A damaged result is noticed in `checksums`.
Nothing here knows how a search works.
"""
