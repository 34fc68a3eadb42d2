"""What must be known before a load can be measured: the capacity that its rate is a percentage of, and what the
reference costs, which its control adds a percentage to.  Each is measured once, shortly, with processes of its own that
enter no figure."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace

from .. import Failure
from ..analyse.summary import cost_of
from ..documents import Json
from ..plan.blocks import Block
from ..plan.experiment import Experiment
from ..plan.variants import Variant
from ..result import Cell

RESTARTS = 3              # of a closed loop: the lowest counts, for processes differ, and the speed of a host drifts
SLICE_NS = 100_000_000
ROUNDS = 2
WARMUP_NS = 100_000_000
COST_NS = 300_000_000     # for what a request costs
LEAST_BURN_NS = 50
SOUND = ("valid", "client-bound", "overloaded")  # verdicts of cells whose throughput says what a server can do
OF_OPEN_LOOP = ("arrivals", "bursts")  # parts of a pattern that a closed loop does not have


class Pilot:
    """`drive(block, rate, restart)` returns the cells of a run that is not stored; `record` is the list of the result
    that the capacities are added to."""

    def __init__(self, experiment: Experiment, drive: Callable[[Block, int | None, int], list[Cell]],
                 record: list[Json]) -> None:
        self._experiment = experiment
        self._drive = drive
        self._record = record
        self._capacities: dict[Hashable, float] = {}           # Block.setting -> requests/s
        self._costs_ns: dict[tuple[str, str], float] = {}      # (Block.name, variant) -> ns a request

    def rate(self, block: Block) -> int | None:
        """Of each target, requests per second; None for a load without one.  A percentage is of the lowest capacity of
        any variant over as many connections, rounded to two digits."""
        if block.share is None:
            return block.rate if isinstance(block.rate, int) else None
        if block.setting not in self._capacities:
            self._capacities[block.setting] = self._capacity(block)
        return max(1, int(float(f"{self._capacities[block.setting] * block.share:.2g}")))

    def burn_ns(self, block: Block, control: Variant, of: str, rate: int | None) -> int:
        """What a control of the variant `of` burns for each request: a time, or a percentage of what that variant costs
        under that load, to two digits."""
        if control.burn_share is None:
            return control.burn_ns
        key = (block.name, of)
        if key not in self._costs_ns:
            [cell] = self._drive(_alone(block, of), rate, 0)
            cost = cost_of(cell)
            if not cost:
                raise Failure(f"{block.name}: what a request costs {of} is not known, so {control.name} has nothing to "
                              f"add to: {'; '.join(cell.reasons) or cell.verdict}")
            self._costs_ns[key] = cost
        return max(LEAST_BURN_NS, round(float(f"{self._costs_ns[key] * control.burn_share:.2g}")))

    def estimate_s(self, blocks: Iterable[Block], guess_s: Callable[[Block], float]) -> float:
        """Seconds until all is known that the blocks need; `guess_s(block)` those of one run."""
        unknown: dict[Hashable, Block] = {}
        uncosted: list[Block] = []
        for block in blocks:
            if block.share is not None and block.setting not in self._capacities:
                unknown[block.setting] = block
            for control in (self._experiment.variants[name] for name in block.variants):
                of = control.control_of
                if of and control.burn_share is not None and (block.name, of) not in self._costs_ns:
                    uncosted.append(_alone(block, of))
        return (RESTARTS * sum(guess_s(closed) for block in unknown.values() for closed in self._closed(block))
                + sum(map(guess_s, uncosted)))

    def _capacity(self, block: Block) -> float:
        """The lowest requests/s in a closed loop, of any variant in any restart."""
        measured: dict[str, list[float]] = {}
        for restart in range(RESTARTS):
            for closed in self._closed(block):
                for cell in self._drive(closed, None, restart):
                    if cell.verdict in SOUND:
                        measured.setdefault(cell.variant, []).append(cell.throughput_per_s)
        if not measured:
            raise Failure(f"{block.name}: the rate is unknown: it is a percentage of the lowest capacity in a closed "
                          f"loop with {block.connections:,} connections, and no variant could be measured there")
        lowest = min(value for values in measured.values() for value in values)
        self._record.append({"connections": block.connections, "payload_bytes": block.payload_bytes,
                             "framing": block.framing, "op": block.op, "pattern": dict(block.pattern),
                             "requests_per_s": measured, "lowest_per_s": lowest})
        return lowest

    def _closed(self, block: Block) -> list[Block]:
        """Closed loops of all variants, controls not, that are asked what the block's are."""
        like = {other.variants: other for other in self._experiment.blocks
                if other.share is not None and other.setting == block.setting}
        return [replace(other, load="closed-loop", rate=None, background=None, rounds=ROUNDS, slice_ns=SLICE_NS,
                        warmup_ns=WARMUP_NS, duration_ns=ROUNDS * SLICE_NS,
                        pattern=tuple(part for part in other.pattern if part[0] not in OF_OPEN_LOOP),
                        variants=tuple(name for name in other.variants
                                       if self._experiment.variants[name].control_of is None))
                for other in like.values()]


def _alone(block: Block, variant: str) -> Block:
    """The variant by itself."""
    return replace(block, variants=(variant,), rounds=1, duration_ns=COST_NS, warmup_ns=WARMUP_NS, slice_ns=None)
