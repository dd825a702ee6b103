"""The laws that every search must keep, tried on a small network and made-up images: `slt-bench check-search`.

Others take `check.check_search`. The laws are in `laws`, those of a single step in `steps`, one function each; `toy` is
what they try them on. Nothing here knows which searches there are.
"""
