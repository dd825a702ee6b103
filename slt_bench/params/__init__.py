"""The parameters of the benchmark: what params.yaml may say, as types that refuse to be wrong.

Every room may take its types from here: one file a noun, `tables.Params` is the whole file. What goes together across nouns is
checked in experiment/checks.py. Nothing here reads files, expands tables or knows torch.
"""
