"""The sources of images: standard releases, folders and archives, read one picture at a time.

`registry.load_images` finds the images of any source; the other modules know one kind of source or of file each. A source of
anybody's is a function `module:name` (`foreign`). One of ours is added as a name in `params/datasets.py` (`SOURCES`, and
`RELEASES` if it is published) and a case in `load_images`. A dataset from an existing source needs an entry in params.yaml.
"""
