"""The way of the images: sources -> .beton files and a manifest -> batches.

Others take `write.prepare`, `manifest` and `loader.Loader`. Only `write` needs ffcv.
"""
