"""Resizing of images as Pillow and torchvision do it: bilinear with antialiasing, in two passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from slt_bench.common.compiled import compiled


@compiled
def resized_shape(height: int, width: int, side: int) -> tuple[int, int]:
    """Compute the size of an image whose shorter side is resized, as torchvision's `Resize` does.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        side: of the result, the shorter one, in pixels.

    Returns:
        Height and width of the result, in pixels.
    """
    if height <= width:
        return side, int(side * width / height)
    return int(side * height / width), side


@compiled
def _taps(start: float, extent: float, size: int, first: int, indices: Any, counts: Any, weights: Any) -> int:
    """Compute the inputs of each output along one axis, and their weights.

    An output is a triangle over its inputs, as wide as two inputs or two outputs, whichever is more (Pillow's BILINEAR).

    Args:
        start: where the inputs begin that are spread, in pixels.
        extent: how many inputs are spread, in pixels.
        size: outputs that the inputs are spread over.
        first: the first of these outputs that is wanted.
        indices: int64[n], where the first input of each wanted output is written.
        counts: int64[n], where the number of inputs is written.
        weights: float32[n, at least as many as any output has inputs], where the weights are written, filled up with zeros
            to a multiple of four.

    Returns:
        The largest number of inputs of an output.
    """
    scale = extent / size
    reach = max(scale, 1.0)
    begin, end, most = int(np.floor(start)), int(np.ceil(start + extent)), 0
    for number in range(indices.size):
        centre = start + (first + number + 0.5) * scale
        low, high = max(int(np.floor(centre - reach + 0.5)), begin), min(int(np.floor(centre + reach + 0.5)), end)
        total = 0.0
        for tap in range(high - low):
            weight = max(1.0 - abs((low + tap + 0.5 - centre) / reach), 0.0)
            weights[number, tap] = weight
            total += weight
        for tap in range(high - low):
            weights[number, tap] /= total
        for tap in range(high - low, (high - low + 3) // 4 * 4):
            weights[number, tap] = 0.0
        indices[number], counts[number] = low, high - low
        most = max(most, high - low)
    return most


@compiled
def _blend_rows(flat: Any, at: int, pitch: int, length: int, count: int, weights: Any, row: Any) -> None:
    """Blend rows of an image into one, four rows at a time, so that the sums stay in registers.

    Args:
        flat: uint8[bytes], the image.
        at: where the first row's part begins.
        pitch: bytes from one row to the next.
        length: bytes of a row that are blended.
        count: rows that are blended, at least one.
        weights: float32[count, filled up with zeros to a multiple of four].
        row: float32[at least length], where the result is written.
    """
    for tap in range(0, count, 4):
        a, b, c, d = weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3]
        rows = at + tap * pitch
        left = count - 1 - tap
        one = flat[rows : rows + length]
        two = flat[rows + min(1, left) * pitch :][:length]
        three = flat[rows + min(2, left) * pitch :][:length]
        four = flat[rows + min(3, left) * pitch :][:length]
        if tap == 0:
            for x in range(length):
                row[x] = a * np.float32(one[x]) + b * np.float32(two[x]) + c * np.float32(three[x]) + d * np.float32(four[x])
        else:
            for x in range(length):
                row[x] += a * np.float32(one[x]) + b * np.float32(two[x]) + c * np.float32(three[x]) + d * np.float32(four[x])


@compiled
def _blend_columns(row: Any, columns: Any, counts: Any, weights: Any, most: int, mirrored: bool, line: Any) -> None:
    """Blend the pixels of a row into a line of the result.

    Args:
        row: float32, the pixels from columns[0] on, and at least four more.
        columns: int64[width], first input pixel of each output pixel.
        counts: int64[width], number of inputs of each.
        weights: float32[width, most], filled up with zeros to a multiple of four.
        most: the largest of the counts.
        mirrored: write the line with left and right exchanged.
        line: uint8[width, 3], where the result is written.
    """
    width, left, half = columns.size, columns[0], np.float32(0.5)
    for x in range(width):
        p, x_out = 3 * (columns[x] - left), width - 1 - x if mirrored else x
        a, b, c, d = weights[x, 0], weights[x, 1], weights[x, 2], weights[x, 3]
        red = half + (a * row[p] + b * row[p + 3] + c * row[p + 6] + d * row[p + 9])
        green = half + (a * row[p + 1] + b * row[p + 4] + c * row[p + 7] + d * row[p + 10])
        blue = half + (a * row[p + 2] + b * row[p + 5] + c * row[p + 8] + d * row[p + 11])
        if most > 4:
            for tap in range(4, counts[x]):
                a, q = weights[x, tap], p + 3 * tap
                red, green, blue = red + a * row[q], green + a * row[q + 1], blue + a * row[q + 2]
        line[x_out, 0], line[x_out, 1], line[x_out, 2] = np.uint8(red), np.uint8(green), np.uint8(blue)


@compiled
def resample(pixels: Any, width: int, box: Any, grid: Any, out: Any, mirrored: bool, row: Any) -> None:
    """Spread a box of an image over a grid and write a window of that grid.

    Rows come first, unlike in Pillow, and nothing is rounded in between: the results differ by 1 of 255 at most.

    Args:
        pixels: uint8[height * width * 3], the image.
        width: of the image, in pixels.
        box: float64[4], top, left, height and width of the part that is spread, in pixels.
        grid: int64[4], height and width of the grid, and the row and column where the window begins.
        out: uint8[h, w, 3], where the window is written.
        mirrored: write the window with left and right exchanged.
        row: float32[3 * width + 12 or more], memory to work in.
    """
    height_out, width_out = out.shape[0], out.shape[1]
    rows, columns = np.empty(height_out, np.int64), np.empty(width_out, np.int64)
    row_counts, column_counts = np.empty(height_out, np.int64), np.empty(width_out, np.int64)
    row_weights = np.empty((height_out, 2 * int(np.ceil(max(box[2] / grid[0], 1.0))) + 8), np.float32)
    column_weights = np.empty((width_out, 2 * int(np.ceil(max(box[3] / grid[1], 1.0))) + 8), np.float32)
    _taps(box[0], box[2], grid[0], grid[2], rows, row_counts, row_weights)
    most = _taps(box[1], box[3], grid[1], grid[3], columns, column_counts, column_weights)
    left = columns[0]
    length = 3 * (columns[-1] + column_counts[-1] - left)
    row[length : length + 12] = 0.0
    for y in range(height_out):
        at = 3 * (rows[y] * width + left)
        _blend_rows(pixels, at, 3 * width, length, row_counts[y], row_weights[y], row)
        _blend_columns(row, columns, column_counts, column_weights, most, mirrored, out[y])
