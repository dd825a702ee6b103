"""The way of the images: sources -> .beton files and a manifest -> loaders. Only `beton` needs ffcv."""
