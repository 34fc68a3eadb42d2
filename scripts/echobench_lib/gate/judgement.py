"""What was found of each cell, and what follows from all of them."""

from dataclasses import dataclass, field

from ..units import format_connections

NOTHING = "nothing was compared"
PASS, REGRESSION, BROKEN, NOT_MEASURABLE, INCONCLUSIVE = 0, 1, 2, 3, 4  # exit statuses

BROKE = "broken"                    # the head's server failed, or answered wrongly
MISSING = "missing"                 # only the base has it
REGRESSED = "regressed"             # beyond the margin
UNMEASURED = "not measurable"
UNDECIDED = "inconclusive"
IMPROVED = "improved"
NEW = "new"                         # only the head has it
UNCHANGED = "unchanged"             # within the margin
LEFT_OUT = "not judged"             # in neither: it cannot run here, or cannot be measured in this way

STATUS = {BROKE: BROKEN, MISSING: BROKEN, REGRESSED: REGRESSION, UNMEASURED: NOT_MEASURABLE, UNDECIDED: INCONCLUSIVE,
          IMPROVED: PASS, NEW: PASS, UNCHANGED: PASS, LEFT_OUT: PASS}  # the worst first, as they are listed


@dataclass(frozen=True)
class Judgement:
    """Of one cell in one tier: `why` are sentences, `figures` {name: text} for a table.  Only what is timed has a load, and only
    servers have connections; of a primitive `variant` is the row."""

    tier: str
    variant: str
    connections: int | None
    verdict: str
    why: list = field(default_factory=list)
    figures: dict = field(default_factory=dict)
    load: str = ""

    @property
    def cell(self):
        return ", ".join(filter(None, (self.variant, self.connections and format_connections(self.connections), self.load)))

    def as_json(self):
        return {"tier": self.tier, "variant": self.variant, **({"connections": self.connections} if self.connections else {}),
                **({"load": self.load} if self.load else {}), "verdict": self.verdict, "why": self.why, "figures": self.figures}


def is_compared(judgement):
    """Whether both revisions have it."""
    return judgement.verdict not in (NEW, LEFT_OUT)


def by_weight(judgements):
    """What matters most first; else in their order."""
    return sorted(judgements, key=lambda judgement: list(STATUS).index(judgement.verdict))


def exit_status(judgements, strict=False):
    """Broken or missing goes before a regression, and a regression before what could not be judged.  Nothing compared is
    broken, and all cells inconclusive is no pass: an empty comparison proves nothing."""
    compared = list(filter(is_compared, judgements))
    statuses = {STATUS[judgement.verdict] for judgement in compared} if compared else {BROKEN}
    for status in (BROKEN, REGRESSION, NOT_MEASURABLE):
        if status in statuses:
            return status
    return INCONCLUSIVE if INCONCLUSIVE in statuses and (strict or all(judgement.verdict == UNDECIDED for judgement in compared)) else PASS


def counts(judgements):
    """`1 regressed, 27 unchanged`"""
    return ", ".join(f"{number} {verdict}" for verdict in STATUS
                     if (number := sum(judgement.verdict == verdict for judgement in judgements))) or NOTHING
