"""Shrink and enlarge pictures as Pillow and torchvision do: bilinear with antialiasing, in two passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from slt_bench.data.decode.compiled import compiled


@compiled
def _taps(start: float, extent: float, size: int, first: int, indices: Any, counts: Any, weights: Any) -> int:
    """Which inputs each output is made of, and by which weights; returns the largest number of inputs.

    The `extent` inputs from `start` on are spread over `size` outputs, of which those from `first` on are wanted. An
    output is a triangle over its inputs, as wide as two inputs or two outputs, whichever is more (Pillow's BILINEAR).
    Weights are filled up with zeros to a multiple of four.
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
    """row[:length] = the weighted sum of `count` rows from `at` on; four at a time, so that it stays in registers."""
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
    """line[x] = the weighted sum of the pixels of `row` from columns[x] on."""
    width, left, half = columns.size, columns[0], np.float32(0.5)
    for x in range(width):
        p, place = 3 * (columns[x] - left), width - 1 - x if mirrored else x
        a, b, c, d = weights[x, 0], weights[x, 1], weights[x, 2], weights[x, 3]
        red = half + (a * row[p] + b * row[p + 3] + c * row[p + 6] + d * row[p + 9])
        green = half + (a * row[p + 1] + b * row[p + 4] + c * row[p + 7] + d * row[p + 10])
        blue = half + (a * row[p + 2] + b * row[p + 5] + c * row[p + 8] + d * row[p + 11])
        if most > 4:
            for tap in range(4, counts[x]):
                a, q = weights[x, tap], p + 3 * tap
                red, green, blue = red + a * row[q], green + a * row[q + 1], blue + a * row[q + 2]
        line[place, 0], line[place, 1], line[place, 2] = np.uint8(red), np.uint8(green), np.uint8(blue)


@compiled
def resample(pixels: Any, width: int, box: Any, grid: Any, out: Any, mirrored: bool, row: Any) -> None:
    """Spread a box of a picture over a grid and write a window of it.

    Rows first, unlike Pillow, and without rounding in between: the results differ by 1 of 255 at most.

    Args:
        pixels: uint8[height * width * 3].
        width: of the picture.
        box: float64[4], top, left, height and width of the part that is spread, in pixels.
        grid: int64[4], height and width of the grid, and the row and column of it where the window begins.
        out: uint8[h, w, 3], the window.
        mirrored: write it with left and right exchanged.
        row: float32, memory for a row of the picture and four pixels more.
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
