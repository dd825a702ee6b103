"""The search algorithms, one file each, behind the contract in `contract.py`; `params.searches.BUILT_IN` names them.

The gradient of a score is `edge_popup.ScoreMethod.gradient`; how sparsity rises is in `iterative_edge_popup`. What an algorithm
of one's own looks like: docs/searches.md.
"""
