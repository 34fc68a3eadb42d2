"""What was found of each cell, and what follows from all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from ..documents import Json
from ..units import format_connections

NOTHING = "nothing was compared"
PASS, REGRESSION, BROKEN, NOT_MEASURABLE, INCONCLUSIVE = 0, 1, 2, 3, 4  # exit statuses

Verdict = Literal["broken", "missing", "regressed", "not measurable", "inconclusive", "improved", "new", "unchanged",
                  "not judged"]
BROKE: Final = "broken"             # the head's server failed, or answered wrongly
MISSING: Final = "missing"          # only the base has it
REGRESSED: Final = "regressed"      # beyond the margin
UNMEASURED: Final = "not measurable"
UNDECIDED: Final = "inconclusive"
IMPROVED: Final = "improved"
NEW: Final = "new"                  # only the head has it
UNCHANGED: Final = "unchanged"      # within the margin
LEFT_OUT: Final = "not judged"      # in neither: it cannot run here, or cannot be measured in this way

STATUS: dict[Verdict, int] = {  # the worst first, as they are listed
    BROKE: BROKEN, MISSING: BROKEN, REGRESSED: REGRESSION, UNMEASURED: NOT_MEASURABLE, UNDECIDED: INCONCLUSIVE,
    IMPROVED: PASS, NEW: PASS, UNCHANGED: PASS, LEFT_OUT: PASS}


@dataclass(frozen=True)
class Judgement:
    """Of one cell in one tier: `why` are sentences, `figures` {name: text} for a table.  Only what is timed has a load,
    and only servers have connections; of a primitive `variant` is the row."""

    tier: str
    variant: str
    connections: int | None
    verdict: Verdict
    why: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    load: str = ""

    @property
    def cell(self) -> str:
        connections = format_connections(self.connections) if self.connections else ""
        return ", ".join(filter(None, (self.variant, connections, self.load)))

    def as_json(self) -> Json:
        return {"tier": self.tier, "variant": self.variant,
                **({"connections": self.connections} if self.connections else {}),
                **({"load": self.load} if self.load else {}), "verdict": self.verdict, "why": self.why,
                "figures": self.figures}


def is_compared(judgement: Judgement) -> bool:
    """Whether both revisions have it."""
    return judgement.verdict not in (NEW, LEFT_OUT)


def by_weight(judgements: Iterable[Judgement]) -> list[Judgement]:
    """What matters most first; else in their order."""
    return sorted(judgements, key=lambda judgement: list(STATUS).index(judgement.verdict))


def exit_status(judgements: Iterable[Judgement], strict: bool = False) -> int:
    """Broken or missing goes before a regression, and a regression before what could not be judged.  Nothing compared
    is broken, and all cells inconclusive is no pass: an empty comparison proves nothing."""
    compared = list(filter(is_compared, judgements))
    statuses = {STATUS[judgement.verdict] for judgement in compared} if compared else {BROKEN}
    for status in (BROKEN, REGRESSION, NOT_MEASURABLE):
        if status in statuses:
            return status
    nothing_decided = all(judgement.verdict == UNDECIDED for judgement in compared)
    return INCONCLUSIVE if INCONCLUSIVE in statuses and (strict or nothing_decided) else PASS


def counts(judgements: Sequence[Judgement]) -> str:
    """`1 regressed, 27 unchanged`"""
    return ", ".join(f"{number} {verdict}" for verdict in STATUS
                     if (number := sum(judgement.verdict == verdict for judgement in judgements))) or NOTHING
