"""A table: one text for the terminal and the page."""

from dataclasses import dataclass, field

from .columns import ABSENT


@dataclass
class Table:
    """`columns` are (name, justify) pairs; `rows` are (Row, its texts), in the table's order, None for a row without figures;
    `remarks` stand below.  `kind` is what it is about: a load, `blocking`, or nothing."""

    title: str
    columns: list
    rows: list
    remarks: list = field(default_factory=list)
    groups: list = field(default_factory=list)
    kind: str = ""


def unavailable_rows(group, columns):
    """A row for each variant that could not run, with the reason."""
    return [(None, [variant, *[ABSENT] * (columns - 2), f"unavailable: {reason}"]) for variant, reason in group.unavailable.items()]
