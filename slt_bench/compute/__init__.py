"""How a process computes: number formats, threads, memory, and several processes that work together.

Others take `world.together` (the processes of one search), `launch` (start them), `devices`, `precision`, `threads` and
`memory`. Nothing here knows what is computed.
"""
