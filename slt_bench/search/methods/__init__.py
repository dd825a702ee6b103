"""The search algorithms, one file each, behind the contract in `contract.py`; `registry.METHODS` finds them by their kind.

The gradient of a score is `edge_popup.ScoreMethod.gradient`; how sparsity rises is in `iterative_edge_popup`.

A new algorithm is a declaration of its parameters (`params/searches.py`), a file here and a line in the registry.
"""
