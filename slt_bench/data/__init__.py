"""From the images of a source to the batches of a search: sources, .beton files with their manifest, loader.

`prepare.prepare` writes a dataset (the only part that needs ffcv), `manifest` tells whether its files are whole, and
`loader.Loader` reads batches from them. The inner rooms are `sources`, where images come from and a new source is added, and
`decode`, which turns a stored image into what a network sees. Nothing here knows networks, tickets or searches.
"""
