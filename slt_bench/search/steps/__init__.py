"""One step of a search: the gradient of a batch, the move of what is learned, and the choice of the next mask.

The loop takes `step.Step`, or `replay.Replay`, which does the same on a GPU in one launch; algorithms take `selector`. Nothing
here knows epochs, files or images of a dataset.
"""
