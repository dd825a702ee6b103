"""From the bytes of a stored image to what a network sees: decoding of JPEG parts, resizing, crops and flips.

`transform.Transform` is the way in; the other modules are its compiled steps.
"""
