"""Figures of a table and of its searches, drawn from the table's lines."""
