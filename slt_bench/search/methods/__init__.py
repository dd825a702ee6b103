"""The search algorithms, one file each, behind the contract in `contract.py`; `registry.METHODS` finds them by their kind.

A new algorithm is a declaration of its parameters (`params/searches.py`), a file here and a line in the registry.
"""
