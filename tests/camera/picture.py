"""The picture of the test camera: a clock that people and programs can read.

A picture consists of bands that span its whole width, from top to bottom:

* a binary clock: 32 squares, white for 1 and black for 0, most significant bit
  first, with the lower 32 bits of the Unix time in milliseconds;
* the same time in large digits, and below it a title and the date;
* colour bars, which never change;
* noise, which always changes, so that the encoder reaches its bit rate;
* a bright bar that moves from left to right every two seconds.

Each band consists of complete rows, so the module paints it by copying whole rows. Even
a picture of 1920x1080 takes Python very little time.

This module uses only the standard library, without GStreamer.
"""

import os
import time

BLACK = 16
WHITE = 235
DARK = 40
NEUTRAL = 128

CODE_BITS = 32
CODE_MASK = (1 << CODE_BITS) - 1

SWEEP_MS = 2000

# The colour bars, each as (luma, blue difference, red difference).
BARS = (
    (180, 128, 128),
    (168, 44, 136),
    (145, 147, 44),
    (133, 63, 52),
    (63, 193, 204),
    (51, 109, 212),
    (28, 212, 120),
)

GLYPH_WIDTH = 5
GLYPH_HEIGHT = 7
GLYPH_PITCH = GLYPH_WIDTH + 1

# One number per row of a glyph. Its five low bits are the dots, from left to right.
FONT = {
    " ": (0, 0, 0, 0, 0, 0, 0),
    "-": (0, 0, 0, 31, 0, 0, 0),
    ".": (0, 0, 0, 0, 0, 12, 12),
    "/": (1, 1, 2, 4, 8, 16, 16),
    ":": (0, 12, 12, 0, 12, 12, 0),
    "0": (14, 17, 19, 21, 25, 17, 14),
    "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 6, 8, 16, 31),
    "3": (14, 17, 1, 6, 1, 17, 14),
    "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (14, 16, 16, 30, 17, 17, 14),
    "7": (31, 1, 2, 4, 4, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 1, 14),
    "A": (14, 17, 17, 31, 17, 17, 17),
    "B": (30, 17, 17, 30, 17, 17, 30),
    "C": (14, 17, 16, 16, 16, 17, 14),
    "D": (30, 17, 17, 17, 17, 17, 30),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "F": (31, 16, 16, 30, 16, 16, 16),
    "G": (14, 17, 16, 23, 17, 17, 14),
    "H": (17, 17, 17, 31, 17, 17, 17),
    "I": (14, 4, 4, 4, 4, 4, 14),
    "J": (1, 1, 1, 1, 1, 17, 14),
    "K": (17, 18, 20, 24, 20, 18, 17),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "M": (17, 27, 21, 21, 17, 17, 17),
    "N": (17, 25, 21, 21, 19, 17, 17),
    "O": (14, 17, 17, 17, 17, 17, 14),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "Q": (14, 17, 17, 17, 21, 18, 13),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4),
    "U": (17, 17, 17, 17, 17, 17, 14),
    "V": (17, 17, 17, 17, 10, 10, 4),
    "W": (17, 17, 17, 21, 21, 27, 17),
    "X": (17, 17, 10, 4, 10, 17, 17),
    "Y": (17, 17, 10, 4, 4, 4, 4),
    "Z": (31, 1, 2, 4, 8, 16, 31),
}


def check_size(width, height):
    """Raise ValueError if the bands do not fit into a picture of this size."""
    if width % CODE_BITS or width < 160:
        raise ValueError(f"width {width} must be a multiple of {CODE_BITS} and at least 160")
    if height % 2 or height * 3 < width:
        raise ValueError(f"height {height} must be even and at least a third of the width")


class Picture:
    """Generates I420 pictures with a given size and title."""

    def __init__(self, title, width, height):
        check_size(width, height)
        self._title = title
        self._width = width
        self._clock_dot = width // 80
        self._title_dot = max(1, self._clock_dot // 2)
        self._lay_out(height)
        self._frame = self._background(height)
        self._noise = _noise(2 * self._noise_rows * width)

    def generate(self, now_ms):
        """Return the picture for this Unix time in milliseconds, as bytes."""
        seconds, millis = divmod(now_ms, 1000)
        local = time.localtime(seconds)
        clock = time.strftime("%H:%M:%S", local) + f".{millis:03d}"
        date = time.strftime("%Y-%m-%d", local)
        self._paint_code(now_ms)
        self._paint_text(self._clock_top, self._clock_dot, clock)
        self._paint_text(self._title_top, self._title_dot, f"{self._title}  {date}")
        self._paint_noise(now_ms)
        self._paint_sweep(now_ms)
        return bytes(self._frame)

    def _lay_out(self, height):
        """Assign rows to the bands. The colour bars fill whole pairs of rows, as I420 requires."""
        gap = self._clock_dot
        self._code_rows = self._width // CODE_BITS
        self._clock_top = _even(self._code_rows + gap)
        self._title_top = _even(self._clock_top + GLYPH_HEIGHT * self._clock_dot + gap)
        self._bars_top = _even(self._title_top + GLYPH_HEIGHT * self._title_dot + gap)
        self._sweep_rows = self._code_rows
        self._sweep_top = height - self._sweep_rows
        self._noise_top = _even((self._bars_top + self._sweep_top) // 2)
        self._noise_rows = self._sweep_top - self._noise_top

    def _background(self, height):
        """Return a picture with the bands that never change."""
        luma, blue, red = zip(*BARS, strict=True)
        half = self._width // 2
        luma_plane = bytearray([DARK]) * (self._width * height)
        blue_plane = bytearray([NEUTRAL]) * (half * height // 2)
        red_plane = bytearray(blue_plane)
        rows = self._noise_top - self._bars_top
        _fill(luma_plane, self._bars_top, _stripes(luma, self._width), rows)
        _fill(blue_plane, self._bars_top // 2, _stripes(blue, half), rows // 2)
        _fill(red_plane, self._bars_top // 2, _stripes(red, half), rows // 2)
        return luma_plane + blue_plane + red_plane

    def _paint_code(self, now_ms):
        """Paint the binary clock."""
        bits = f"{now_ms & CODE_MASK:0{CODE_BITS}b}"
        levels = [WHITE if bit == "1" else BLACK for bit in bits]
        _fill(self._frame, 0, _stripes(levels, self._width), self._code_rows)

    def _paint_text(self, top, dot, text):
        """Paint a centred line of text, with dots of `dot` by `dot` pixels.

        The end of a line that is too long is cut off.
        """
        for line in range(GLYPH_HEIGHT):
            dots = "".join(f"{FONT[char][line]:0{GLYPH_WIDTH}b}0" for char in text)
            row = b"".join(bytes([WHITE if lit == "1" else DARK]) * dot for lit in dots)
            row = row.center(self._width, bytes([DARK]))[: self._width]
            _fill(self._frame, top + line * dot, row, dot)

    def _paint_noise(self, now_ms):
        """Paint the noise. The time selects a part of the prepared noise."""
        size = self._noise_rows * self._width
        top = self._noise_top * self._width
        start = now_ms * 7919 % size
        self._frame[top : top + size] = self._noise[start : start + size]

    def _paint_sweep(self, now_ms):
        """Paint the moving bar at its current position."""
        bar = self._width // 16
        left = (self._width - bar) * (now_ms % SWEEP_MS) // SWEEP_MS
        row = bytearray([DARK]) * self._width
        row[left : left + bar] = bytes([WHITE]) * bar
        _fill(self._frame, self._sweep_top, row, self._sweep_rows)


def _even(number):
    """Round up to an even number."""
    return number + number % 2


def _fill(plane, top, row, count):
    """Fill `count` rows of a plane with copies of `row`, starting at row `top`."""
    start = top * len(row)
    plane[start : start + len(row) * count] = row * count


def _noise(count):
    """Return this many random luma values, from dark to medium grey."""
    return os.urandom(count).translate(bytes(DARK + byte // 4 for byte in range(256)))


def _stripes(levels, width):
    """Return a row of equally wide stripes with these levels."""
    count = len(levels)
    edges = [width * index // count for index in range(count + 1)]
    return b"".join(
        bytes([level]) * (right - left)
        for level, left, right in zip(levels, edges[:-1], edges[1:], strict=True)
    )
