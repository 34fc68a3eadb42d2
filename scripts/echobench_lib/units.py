"""Quantities as people write them, as in the programs' options: `10k`, `250us`; and back, for tables."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

NS_PER_S = 1_000_000_000

_TIMES_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": NS_PER_S, "m": 60 * NS_PER_S, "min": 60 * NS_PER_S,
             "h": 3600 * NS_PER_S}
_COUNTS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000,
           "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def parse_time_ns(text: str) -> int:
    """`250us`, `1.5s`, `5min` as integer nanoseconds.  ValueError says what is wrong."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ns|us|ms|s|min|m|h)", str(text))
    if not match:
        raise ValueError(f"'{text}' is not a time, for example 250us or 3s (units ns, us, ms, s, m, h)")
    return round(float(match[1]) * _TIMES_NS[match[2]])


def parse_count(text: str | int) -> int:
    """`64`, `10k`, `64Ki` or an int as an int.  ValueError says what is wrong."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(k|M|G|Ki|Mi|Gi|)", str(text))
    value = float(match[1]) * _COUNTS[match[2]] if match else 0.5
    if value != int(value):
        raise ValueError(f"'{text}' is not a whole number, for example 64, 10k or 64Ki")
    return int(value)


def parse_share(text: str) -> float:
    """`1%` as 0.01."""
    return float(text.removesuffix("%")) / 100


def format_time_ns(ns: float, digits: int = 3) -> str:
    """`3.41 ns`, `812 ns`, `42.3 µs`, `1.25 s`."""
    for unit, scale in (("s", NS_PER_S), ("ms", 1_000_000), ("µs", 1_000)):
        if ns >= scale:
            return f"{significant(ns / scale, digits)} {unit}"
    return f"{significant(ns, digits)} ns"


def format_bytes(size: float, digits: int = 3) -> str:
    """`312 B`, `8.61 KiB`, `1.20 MiB`; negative sizes keep their sign."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(size) >= scale:
            return f"{significant(size / scale, digits)} {unit}"
    return f"{size:.0f} B"


def format_connections(count: int) -> str:
    """`1 connection`, `1,000 connections`."""
    return f"{count:,} connection{'s' if count != 1 else ''}"


def listed(texts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def format_seconds(seconds: float) -> str:
    """`4:05` for people who wait."""
    seconds = max(0, round(seconds))
    return f"{seconds // 60}:{seconds % 60:02d}"


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits, thousands separated, never in exponent form."""
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".split("e")[1])
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def format_time_option(ns: int) -> str:
    """The shortest exact text of whole nanoseconds that the programs' options take: `250us`, `1500ns`."""
    for unit in ("s", "ms", "us"):
        if ns % _TIMES_NS[unit] == 0:
            return f"{ns // _TIMES_NS[unit]}{unit}"
    return f"{ns}ns"


def shortened(record: Mapping[str, Any], kind: type[float] | type[int] = float) -> dict[str, Any]:
    """A record whose numbers of that kind have five significant digits: less than any host repeats."""
    return {key: kind(float(f"{value:.5g}")) if isinstance(value, kind) and not isinstance(value, bool) else value
            for key, value in record.items()}
