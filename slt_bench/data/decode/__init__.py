"""From the bytes of a stored picture to what a network sees: parts of JPEGs, resizing, crops and flips."""
