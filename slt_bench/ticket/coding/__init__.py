"""The bytes of a ticket file: masks, roles and levels as bits or entropy-coded, put together with a header, and checked.

`ticket.file` takes `content` and `check`; `mask_coding` and `levels` count and write the parts. docs/ticket-format.md describes
them. Nothing here builds a network.
"""
