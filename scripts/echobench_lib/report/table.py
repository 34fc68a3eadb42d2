"""A table: one text for the terminal and the page."""

from dataclasses import dataclass, field

from ..analyse.summary import Group, Row
from .columns import ABSENT, Heading

Line = tuple[Row | None, list[str]]  # of a table: its texts, and what they are of; None without figures


@dataclass
class Table:
    """`remarks` stand below.  `kind` is what it is about: a load, `blocking`, or nothing."""

    title: str
    columns: list[Heading]
    rows: list[Line]
    remarks: list[str] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    kind: str = ""


def unavailable_rows(group: Group, columns: int) -> list[Line]:
    """A row for each variant that could not run, with the reason."""
    return [(None, [variant, *[ABSENT] * (columns - 2), f"unavailable: {reason}"])
            for variant, reason in group.unavailable.items()]
