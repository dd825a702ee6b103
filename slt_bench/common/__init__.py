"""Helpers that every room may use: errors, files, paths, random streams, rounding, text and YAML.

Nothing here knows what a ticket, a cell or a network is, and nothing is imported from another room.
"""
