"""The parameters of the benchmark: what params.yaml may say, as types that refuse to be wrong.

One file a noun. Nothing here reads files, expands tables or knows torch.
"""
