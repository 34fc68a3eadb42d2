"""How the requests of a load differ from the plainest: the `pattern` of an experiment's load, and of a cell's workload.

Its keys are echo-load's options and its values what they take: {"payload": "mix:64@90,4k@10", "think": "5ms"}.
"""

from collections.abc import Iterable, Mapping

Pattern = tuple[tuple[str, str], ...]  # what identifies it: pairs in the order of KEYS, as text

KEYS = ("payload", "think", "bursts", "arrivals", "pipeline", "idle_connections", "slow_readers", "slow_read_rate")


def items(pattern: Mapping[str, object]) -> Pattern:
    """The pattern of a document; keys that are not among KEYS are left out."""
    return tuple((key, str(pattern[key])) for key in KEYS if key in pattern)


def arguments(pairs: Pattern) -> list[str]:
    """Options of echo-load."""
    return [argument for key, value in pairs for argument in (f"--{key.replace('_', '-')}", value)]


def name(pairs: Pattern) -> list[str]:
    """`think=5ms`, in the name of a block."""
    return [f"{key.replace('_', '-')}={value}" for key, value in pairs]


def text(pairs: Iterable[tuple[str, str]]) -> str:
    """`, think 5ms, slow readers 3`, behind what stands in a title."""
    return "".join(f", {key.replace('_', ' ')} {value}" for key, value in pairs)
