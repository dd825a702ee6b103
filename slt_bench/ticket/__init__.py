"""The ticket: a mask over a source network, its file, its sizes, and the checks that refuse a damaged one.

Others take `masked_network`, `ticket.Ticket`, `file` and `sizes`. Nothing here knows how a mask was found.
"""
