"""The ticket: a mask over a source network, its file, its sizes, and the checks that refuse a damaged one.

Others take `masked_network.MaskedNetwork`, `top_k` (the selection of exactly k edges), `ticket.Ticket`, `file` (save and read
a ticket), `sizes` and `describe`. The bytes are laid out in `coding`; docs/ticket-format.md describes them.
Nothing here knows how a mask was found.
"""
