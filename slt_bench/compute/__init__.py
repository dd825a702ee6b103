"""How a process computes: number formats, threads, memory, and several processes that work together.

Nothing here knows what is computed.
"""
