"""Reads HdrHistogram's V2 encoding: https://github.com/HdrHistogram/HdrHistogram, "AbstractHistogram".

Compressed form: cookie, length, then zlib of: cookie, payload length, normalising offset, significant digits,
lowest and highest value (64 bit), ratio (double), and the counts as zig-zag LEB128 numbers (the ninth byte whole),
a negative number standing for that many empty buckets.  All numbers are big-endian.
"""

import base64
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy
from numpy.typing import NDArray

COMPRESSED_V2 = 0x1C849304  # the low byte may carry a word size in its high nibble
V2 = 0x1C849303
MOST_DIGITS = 5  # the format's limit
LEAST_BEYOND = 100  # samples; with fewer beyond it, a percentile is not reported

Integers = NDArray[numpy.int64]


class Histogram:
    """Counts by the highest equivalent value (in the unit recorded, here nanoseconds): two arrays of one length, the
    values rising."""

    def __init__(self, values: Integers, counts: Integers) -> None:
        self.values = values
        self.counts = counts
        self.total = int(counts.sum())

    def percentile(self, percent: float) -> int | None:
        """The lowest recorded value that `percent`, 0 to 100, of the samples do not exceed; None with too few samples
        beyond."""
        # in hundred-thousandths of a percent, so that 99.9 % of 100,000 leaves exactly 100
        beyond = self.total * (10_000_000 - round(percent * 100_000)) / 10_000_000
        return self.at(percent) if beyond >= LEAST_BEYOND else None

    def at(self, percent: float) -> int:
        """As `percentile`, however few samples there are beyond it."""
        rank = max(1, -(-self.total * round(percent * 100_000) // 10_000_000))
        return int(self.values[numpy.searchsorted(numpy.cumsum(self.counts), rank)])

    def most_percent(self) -> float:
        """The highest percentile that may be reported."""
        return max(0.0, 100 * (1 - LEAST_BEYOND / self.total)) if self.total else 0.0


@lru_cache(maxsize=None)  # a file's histograms are checked when it is read and used when it is shown
def decode(text: str) -> Histogram:
    """A Histogram from base64 text.  ValueError when it is not one."""
    try:
        return _decode(text)
    except (struct.error, zlib.error, IndexError, OverflowError) as error:
        raise ValueError(f"damaged HdrHistogram: {error}") from None


def _decode(text: str) -> Histogram:
    data = base64.b64decode(text)
    cookie, length = struct.unpack_from(">ii", data)
    if cookie & ~0xF0 != COMPRESSED_V2 & ~0xF0:
        raise ValueError("not a compressed HdrHistogram V2")
    data = zlib.decompress(data[8:8 + length])
    cookie, length, _, digits, lowest, _, _ = struct.unpack_from(">iiiiqqd", data)
    if cookie & ~0xF0 != V2 & ~0xF0:
        raise ValueError("not an HdrHistogram V2")
    if not 0 <= digits <= MOST_DIGITS or lowest < 1:
        raise ValueError(f"an HdrHistogram of {digits} digits from {lowest} on")
    indices, counts = [], []
    index = 0
    for number in _zigzag_numbers(data[40:40 + length]):
        if number < 0:
            index -= number
        else:
            if number:
                indices.append(index)
                counts.append(number)
            index += 1
    return Histogram(_highest_equivalents(numpy.array(indices, dtype=numpy.int64), lowest, digits),
                     numpy.array(counts, dtype=numpy.int64))


def merge(histograms: Sequence[Histogram]) -> Histogram:
    """One histogram of all samples."""
    values = numpy.concatenate([histogram.values for histogram in histograms])
    counts = numpy.concatenate([histogram.counts for histogram in histograms])
    values, where = numpy.unique(values, return_inverse=True)
    return Histogram(values, numpy.bincount(where, weights=counts, minlength=len(values)).astype(numpy.int64))


def coarser(text: str, digits: int) -> str:
    """The same samples to `digits` significant digits, as text."""
    histogram = decode(text)
    indices, where = numpy.unique(_indices(histogram.values, digits), return_inverse=True)
    counts = numpy.bincount(where, weights=histogram.counts, minlength=len(indices)).astype(numpy.int64)
    numbers, at = bytearray(), 0
    for index, count in zip(map(int, indices), map(int, counts)):
        if index > at:
            numbers += _zigzag(at - index)
        numbers += _zigzag(count)
        at = index + 1
    highest = int(_highest_equivalents(indices[-1:], 1, digits).max(initial=2))
    header = struct.pack(">iiiiqqd", V2 | 0x10, len(numbers), 0, digits, 1, highest, 1.0)
    payload = zlib.compress(header + bytes(numbers), 9)
    return base64.b64encode(struct.pack(">ii", COMPRESSED_V2 | 0x10, len(payload)) + payload).decode()


def _zigzag(number: int) -> bytes:
    """As LEB128; counts of 2^55 and more do not occur."""
    value, written = (number << 1) ^ (number >> 63), bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _zigzag_numbers(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            if shift == 56:
                value |= byte << shift
                break
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        yield (value >> 1) ^ -(value & 1)


def _indices(values: Integers, digits: int) -> Integers:
    """The buckets of values, where the lowest is 1."""
    half_bits = (2 * 10**digits - 1).bit_length() - 1
    bits = numpy.array([int(value).bit_length() for value in values], dtype=numpy.int64)
    bucket = numpy.maximum(0, bits - half_bits - 1)
    return (bucket << half_bits) + (values >> bucket)


def _highest_equivalents(indices: Integers, lowest: int, digits: int) -> Integers:
    """Bucket indices to the highest value of each bucket (Gil Tene's layout: sub-buckets of half overlap)."""
    unit = max(0, lowest.bit_length() - 1)
    half_bits = (2 * 10**digits - 1).bit_length() - 1
    half = 1 << half_bits
    bucket = (indices >> half_bits) - 1
    sub = (indices & (half - 1)) + half
    first = bucket < 0
    sub = numpy.where(first, sub - half, sub)
    bucket = numpy.where(first, 0, bucket)
    return ((sub + 1) << (bucket + unit)) - 1
