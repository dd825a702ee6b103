"""The ticket: a mask over a source network, its file, and what is refused as damaged.

Others take `masked_network`, `ticket.Ticket` and `file.read_ticket`. Nothing here knows how a mask was found.
"""
