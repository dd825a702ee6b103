"""The sources of images: standard releases, folders and archives, read one picture at a time.

`registry.load_images` finds the images of any source; the other modules know one kind of source or of file each.
"""
