"""Measuring until it is precise: restarts are added, where intervals are widest, until each is as narrow as asked or
the time is spent.

Looks are planned by the number of restarts and ask how wide intervals are, never where they lie: what was found has no
say in when the measurement ends.  An interval that is narrow by luck would end it too early, and cover less often: it
has to be as narrow again with two more restarts.  So intervals keep their coverage (0.92 to 0.95 by simulation,
tests/run/test_until.py).
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from ..analyse.summary import RANKED, summarise
from ..documents import Json
from ..plan.blocks import Block
from ..plan.experiment import Experiment
from ..result import Result

Widths = dict[Block, tuple[float, str]]  # the widest half-width on the log scale, and of which variant
LOOKS = (5, 7, 10, 14, 20, 28, 40, 56, 80)  # restarts of a block after which its intervals are looked at
CONFIRMED_BY = 2  # restarts
Why = Literal["precise", "budget", "restarts"]  # it ended; restarts: after the last of LOOKS


class Until:
    """Plans the restarts of an experiment's blocks.  `asked`: of each ratio of costs, half the distance of its bounds
    on the log scale; `estimate_s(pairs)`: seconds that (restart, block) pairs take.  Blocks without costs have the
    restarts of the experiment."""

    def __init__(self, experiment: Experiment, asked: float, budget_s: float,
                 estimate_s: Callable[[Sequence[tuple[int, Block]]], float]) -> None:
        self._experiment = experiment
        self._asked, self._budget_s, self._estimate_s = asked, budget_s, estimate_s
        self._begun = time.monotonic()
        self._restarts = {block: LOOKS[0] if block.load in RANKED else block.restarts for block in experiment.blocks}
        self._narrow: set[Block] = set()  # those that were as narrow as asked at their last look
        self.record: Json = {"asked": asked, "budget_s": budget_s, "looks": []}

    def first(self) -> list[tuple[int, Block]]:
        """The (restart, block) pairs before the first look."""
        return self._experiment.order({block: range(count) for block, count in self._restarts.items()})

    def more(self, result: Result) -> list[tuple[int, Block]]:
        """The pairs from this look to the next; none at the end."""
        spent_s = time.monotonic() - self._begun
        widest = half_widths(result, self._experiment)
        widths = {block: width for block, (width, _) in widest.items()}
        self._look(widest, spent_s)
        left_s = self._budget_s - spent_s
        next_ones: dict[Block, range] = {}
        for block in sorted(widths, key=lambda block: widths[block], reverse=True):
            more = self._next(block, widths[block])
            took_s = self._estimate_s([(restart, block) for restart in more])
            if more and took_s <= left_s:
                next_ones[block] = more
                left_s -= took_s
        if not next_ones:
            wide = [block for block, width in widths.items() if width > self._asked]
            exhausted = all(self._restarts[block] >= LOOKS[-1] for block in wide)
            self._end(widths, "precise" if not wide else "restarts" if exhausted else "budget")
        self._narrow = {block for block, width in widths.items() if width <= self._asked}
        self._restarts.update({block: more.stop for block, more in next_ones.items()})
        return self._experiment.order(next_ones)

    def _next(self, block: Block, width: float) -> range:
        """The restarts of a block up to its next look; none if it was as narrow as asked at two looks."""
        done = self._restarts[block]
        if width <= self._asked:
            return range(done, done if block in self._narrow else done + CONFIRMED_BY)
        return range(done, next((look for look in LOOKS if look > done), done))

    def _look(self, widest: Widths, spent_s: float) -> None:
        look: Json = {"after_s": round(spent_s, 1),
                      "restarts": {block.name: count for block, count in self._restarts.items()}}
        if widest:
            block, (width, variant) = max(widest.items(), key=lambda item: item[1][0])
            look.update(block=block.name, variant=variant)
            if math.isfinite(width):
                look["half_width"] = width
        self.record["looks"].append(look)

    def _end(self, widths: Mapping[Block, float], why: Why) -> None:
        """Also what twice the precision, or the one that was asked for, would take: half-widths fall with the root of
        the restarts."""
        self.record["stopped"] = why
        reached = max(widths.values(), default=math.inf)
        if not math.isfinite(reached):
            return
        self.record["reached"] = reached
        wanted = self._asked if reached > self._asked else float(f"{reached / 2:.1g}")
        missing = {block: math.ceil(self._restarts[block] * ((width / wanted)**2 - 1))
                   for block, width in widths.items() if width > wanted}
        self.record["further"] = {"half_width": wanted, "takes_s": round(sum(
            self._estimate_s([(0, block)]) * count for block, count in missing.items()))}


def half_widths(result: Result, experiment: Experiment) -> Widths:
    """Of each block, over its ratios; infinite with one restart.  Those of the control count as the others; what is
    biased, and what was not served, more restarts do not mend."""
    blocks = {block.name: block for block in experiment.blocks}
    widest: Widths = {}
    for group in summarise(result, experiment.reference):
        if group.workload.load not in RANKED or group.is_biased:
            continue
        for row in group.rows:
            if row.cost_ratio:
                width = (row.cost_ratio.log_half_width, row.variant)
                for block in {blocks[cell.block] for cell in row.kept}:
                    widest[block] = max(widest.get(block, (0, "")), width)
    return widest
