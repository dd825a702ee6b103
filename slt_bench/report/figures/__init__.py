"""Figures of a table and of its searches, drawn from its lines."""
