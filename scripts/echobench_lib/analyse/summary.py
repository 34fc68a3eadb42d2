"""The rows of a table: all restarts of one variant under one workload, put together."""

import math
import statistics
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

from ..result import Cell, Load, Result, Slice, Verdict, Workload
from ..result.histogram import Histogram, decode, merge
from ..result.model import Scaled
from . import connections, recovery
from .recovery import Recovery, wakeups_per_request
from .statistics import Interval, Rank, log_ratio, of_rounds, over_restarts, paired, ranks, trimmed_mean_interval

PRECEDENCE: tuple[Verdict, ...] = (
    "wrong-replies", "errors", "client-bound", "overloaded", "starved", "unsaturated", "valid")
PERCENTILES = ("p50", "p99", "p99.9")
LEAST_CPU_NS_FOR_SHARES = 400_000_000  # 100 ticks of 250 Hz
COST, TIME = "CPU per request", "throughput"  # figures that have a recovery
FIGURES: dict[Load, tuple[str, ...]] = {
    "equal-load": (COST,), "saturation": (COST,), "ping-pong": (COST,), "open-loop": (), "closed-loop": (COST, TIME),
    "stream": (), "crr": (COST, TIME), "idle": ()}
RANKED = ("equal-load", "saturation", "ping-pong", "crr")  # whose costs are compared; the closed loop's are biased
SATURATED_SERVER, SATURATED_CLIENT = 0.95, 0.90  # busy at least, and less than that


@dataclass
class Row:
    """One variant under one workload.  Absent figures are None; absolute ones are medians over restarts.  Costs are
    server CPU nanoseconds a request, the added work subtracted; `cost_ns` is the reference's times `cost_ratio`, so
    that both are over the same restarts.  `cells` are all restarts, at least one; `kept` those that enter ratios, costs
    and recoveries."""

    variant: str
    cells: list[Cell]
    kept: list[Cell]
    verdict: Verdict
    reasons: list[str]
    control_of: str | None = None
    throughput: float | None = None
    cost_ns: float | None = None
    cost_log_ratios: dict[int, list[float]] = field(default_factory=dict)  # {restart: of its rounds, to the reference}
    cost_ratio: Interval | None = None
    rank: Rank | None = None
    user_share: float | None = None
    wakeups: float | None = None  # voluntary context switches a request
    server_busy: float | None = None
    client_busy: float | None = None
    throughput_ratio: Interval | None = None
    latency_ns: dict[str, int] = field(default_factory=dict)  # {percentile: of all restarts}
    latency_ranges: dict[str, tuple[int, int]] = field(default_factory=dict)  # {percentile: (lowest, highest restart)}
    latency_kind: Literal["response", "service"] = "service"
    latency_from: Literal["merged", "median"] = "merged"
    histogram: Histogram | None = None
    bytes_out_per_s: float | None = None  # to the server, headers included
    bytes_in_per_s: float | None = None
    by_operation_ns: dict[str, dict[str, float | None]] = field(default_factory=dict)  # {operation: {percentile: ...}}
    memory_bytes: float | None = None
    threads: int | None = None
    user_memory_bytes: float | None = None  # per connection, as are the next two
    kernel_memory_bytes: float | None = None
    threads_per_connection: float | None = None
    connects_per_s: float | None = None
    connect_ns: dict[str, float] = field(default_factory=dict)

    @property
    def scaled(self) -> Scaled | None:
        """Which step of thread scaling it is."""
        return self.cells[0].scaled

    @property
    def is_bound(self) -> bool:
        """The client was the bottleneck: throughput is a lower bound, and must not be ranked."""
        return self.verdict == "client-bound"

    @property
    def cost_interval(self) -> Interval | None:
        """Of the absolute cost: the bounds are those of the ratio, and of the reference those of its own cost over
        restarts, which contain how the host's speed drifted.  No bounds with one restart; None where no cost is
        known."""
        if self.cost_ratio and self.cost_ns is not None:
            return self.cost_ratio.scaled(self.cost_ns / self.cost_ratio.estimate)
        return self.own_cost

    @property
    def own_cost(self) -> Interval | None:
        """The interval of its cost over the restarts that are kept; None where no cost is known."""
        costs = [cost for cell in self.kept if (cost := cost_of(cell)) is not None]
        return trimmed_mean_interval(costs) if costs else None


@dataclass
class Group:
    """One table: every variant under one workload.  `recoveries` {figure: a Recovery for each control}."""

    workload: Workload
    rate_per_s: float | None
    reference: str
    rows: list[Row]
    restarts: int
    recoveries: dict[str, list[Recovery]]
    unavailable: dict[str, str] = field(default_factory=dict)  # {variant: why it could not run there}

    def row(self, variant: str) -> Row | None:
        return next((row for row in self.rows if row.variant == variant), None)

    @property
    def is_ranked(self) -> bool:
        """By cost."""
        return self.workload.load in RANKED and not self.unranked(COST) and any(row.cost_ratio for row in self.rows)

    def recovery(self, figure: str) -> Recovery | None:
        """That decides what is said of `figure`; None without a control."""
        return recovery.deciding(self.recoveries.get(figure, []), self.reference)

    def doubt(self, figure: str) -> str:
        """Why `figure` must be neither ranked nor judged; empty where it may be.  A control that was driven and does
        not count, for it was not sound, or not saturated, shows nothing."""
        if decides := self.recovery(figure):
            return decides.doubt
        return f"control {recovery.INCONCLUSIVE}" if self.controls else recovery.NO_CONTROL

    @property
    def controls(self) -> list[Row]:
        """The rows of the reference's controls."""
        return [row for row in self.rows if row.control_of == self.reference]

    def unranked(self, figure: str) -> str:
        """The same, but a result without controls is ranked all the same: a line below its table says that it had
        none."""
        doubt = self.doubt(figure)
        return "" if doubt == recovery.NO_CONTROL else doubt

    @property
    def is_biased(self) -> bool:
        """Its costs are no measure of a server, and have no ratios."""
        decides = self.recovery(COST)
        return decides is not None and decides.outcome == recovery.BIASED


def summarise(result: Result, reference: str) -> list[Group]:
    """The groups of a result, in the order of their workloads."""
    threads = result.placement.server_threads if result.placement else 1
    by_workload: dict[Workload, list[Cell]] = {}
    for cell in result.cells:
        by_workload.setdefault(cell.workload, []).append(cell)
    groups = [_group(workload, _arranged(by_workload[workload], result), reference, threads)
              for workload in sorted(by_workload, key=lambda workload: workload.order)]
    for group in groups:
        group.unavailable = _unavailable(result, group.workload, {other.workload.framing for other in groups})
    return groups


def _arranged(cells: Iterable[Cell], result: Result) -> list[Cell]:
    """In the order of the experiment: those measured one at a time come as they were drawn."""
    places = {entry.name: place for place, entry in enumerate(result.experiment.variants)}

    def place(cell: Cell) -> int:
        of = cell.scaled or cell.control
        return places.get(of.of if of else cell.variant, len(places))
    return sorted(cells, key=place)


def _unavailable(result: Result, workload: Workload, framings: Set[str]) -> dict[str, str]:
    """{variant: reason} of those that would have a row under this workload, could they run; where nobody else speaks
    their framing, in the tables of the experiment's."""
    experiment, reasons = result.experiment, result.unavailable
    asked = {load.framing or experiment.framing for load in experiment.loads if load.load == workload.load}
    return {entry.name: reasons[entry.name] for entry in experiment.variants if entry.name in reasons
            and (workload.framing == entry.framing if entry.framing in framings else workload.framing in asked)
            and not (entry.command is not None and workload.load == "saturation")}


def _group(workload: Workload, cells: Sequence[Cell], reference: str, threads: int) -> Group:
    kept = comparable(cells)
    threads = next((cell.scaled.threads for cell in cells if cell.variant == reference and cell.scaled), threads)
    figures: dict[str, Callable[[Slice], float]] = {
        COST: slice_cpu, TIME: lambda piece: threads / rate if (rate := slice_rate(piece)) else 0}
    recoveries = {figure: recovery.recoveries(kept, figures[figure]) for figure in FIGURES[workload.load]}
    rows = [_row(variant, cells, kept, reference) for variant in dict.fromkeys(cell.variant for cell in cells)]
    rate_per_s = next((cell.rate_per_s for cell in cells if cell.rate_per_s is not None), None)
    group = Group(workload, rate_per_s, reference, rows, len({cell.restart for cell in cells}), recoveries)
    _set_costs(group)
    _order(group)
    _rank(group)
    return group


def _set_costs(group: Group) -> None:
    """Of each row as the reference's times its ratio, whose interval has what the control leaves open in it."""
    reference, decides = group.row(group.reference), group.recovery(COST)
    for row in group.rows:
        if row.cost_ratio:
            if reference is not None and reference.cost_ns is not None:
                row.cost_ns = reference.cost_ns * row.cost_ratio.estimate
            if decides:
                row.cost_ratio = decides.widened(row.cost_ratio)


def _order(group: Group) -> None:
    """By what the rows show, the one that costs least first, the controls last; where costs are biased or not the
    question, in the order of the experiment."""
    by_cost = group.workload.load in RANKED and not group.is_biased

    def place(row: Row) -> float:
        if not by_cost:
            return 0
        return row.cost_ratio.estimate if row.cost_ratio else 1 if row.variant == group.reference else math.inf
    group.rows.sort(key=lambda row: (row.control_of is not None, place(row)))


def _rank(group: Group) -> None:
    """By cost."""
    if not group.is_ranked:
        return
    relative = {row.variant: {restart: of_rounds(rounds) for restart, rounds in row.cost_log_ratios.items()}
                for row in group.rows if row.control_of is None and row.cost_ratio}
    if group.row(group.reference) is not None:
        relative[group.reference] = dict.fromkeys((restart for of in relative.values() for restart in of), 0.0)
    places = ranks(relative)
    for row in group.rows:
        row.rank = places.get(row.variant)


def comparable(cells: Iterable[Cell]) -> list[Cell]:
    """Those cells of a workload that enter ratios, recoveries and costs: in each block the same restarts of every
    variant.

    A variant that is sound in fewer than half of its restarts is left out of them; then each restart in which another
    is not sound.  Whether a server was saturated is asked of the median of its restarts, so that none is lost by a
    hair."""
    by_block: dict[str, dict[str, dict[int, Cell]]] = {}
    for cell in cells:
        by_block.setdefault(cell.block, {}).setdefault(cell.variant, {})[cell.restart] = cell
    kept = []
    for variants in by_block.values():
        restarts = sorted({restart for of in variants.values() for restart in of})
        steady = [of for of in variants.values()
                  if is_saturated(of.values()) and 2 * sum(map(is_sound, of.values())) >= len(restarts)]
        common = [restart for restart in restarts if all(restart in of and is_sound(of[restart]) for of in steady)]
        kept += [of[restart] for of in steady for restart in common]
    return kept


def is_sound(cell: Cell) -> bool:
    """Whether a cell's figures say something of the server: not where replies or connections were lost, nor where a
    load that was to be equal was not."""
    return cell.verdict in sound_verdicts(cell.load)


def sound_verdicts(load: Load) -> tuple[Verdict, ...]:
    """A client that is the bottleneck leaves a load neither equal nor saturated; other throughputs it turns into lower
    bounds.  An overloaded server did not serve the load that was to be equal, but its latency is what users would
    see."""
    if load == "open-loop":
        return ("valid", "overloaded")
    if load in ("equal-load", "saturation"):
        return ("valid",)
    return ("valid", "client-bound")


def is_saturated(cells: Collection[Cell]) -> bool:
    """Of the restarts of one variant, if they were to be: the server was the bottleneck beyond doubt, and the client
    had time to spare."""
    if next(iter(cells)).load != "saturation":
        return True
    server_busy = statistics.median(cell.server.busy or 0 for cell in cells)
    client_busy = statistics.median(1 if cell.client_busy is None else cell.client_busy for cell in cells)
    return server_busy >= SATURATED_SERVER and client_busy < SATURATED_CLIENT


def verdict_of(cells: Collection[Cell]) -> Verdict:
    """Of the restarts of one variant: the worst."""
    worst = min((cell.verdict for cell in cells), key=PRECEDENCE.index)
    return "unsaturated" if worst == "valid" and not is_saturated(cells) else worst


def reasons_of(cells: Collection[Cell]) -> list[str]:
    """Of the restarts of one variant, each with its number if there are several."""
    reasons = {(f"restart {cell.restart + 1}: " if len(cells) > 1 else "") + reason: None
               for cell in cells for reason in cell.reasons + cell.checks}
    if verdict_of(cells) == "unsaturated":
        server, client = (100 * (median(values) or 0) for values in
                          ([cell.server.busy for cell in cells], [cell.client_busy for cell in cells]))
        reasons[f"the server was not saturated: it was busy {server:.0f} % of the time, and the client {client:.0f} %: "
                "raise added_work in the experiment"] = None
    return list(reasons)


def _row(variant: str, cells: Sequence[Cell], kept: Sequence[Cell], reference: str) -> Row:
    restarts = [cell for cell in cells if cell.variant == variant]
    sound = [cell for cell in kept if cell.variant == variant]
    verdict, control = verdict_of(restarts), restarts[0].control
    row = Row(variant, restarts, sound, verdict, reasons_of(restarts), control.of if control else None)
    if verdict == "wrong-replies":
        return row  # a wrong answer yields no figure
    row.throughput = statistics.median(cell.throughput_per_s for cell in restarts)
    row.cost_ns = own.estimate if (own := row.own_cost) else None
    row.cost_log_ratios = log_ratios(kept, variant, reference, slice_cost)
    row.cost_ratio = exp(over_restarts(list(row.cost_log_ratios.values())))
    row.throughput_ratio = exp(over_restarts(list(log_ratios(kept, variant, reference, lambda _: slice_rate).values())))
    row.user_share = user_share(sound)
    row.wakeups = median(map(wakeups_per_request, sound))
    row.server_busy = median(cell.server.busy for cell in restarts)
    row.client_busy = median(cell.client_busy for cell in restarts)
    row.bytes_out_per_s = median(cell.bytes_out_per_s for cell in restarts)
    row.bytes_in_per_s = median(cell.bytes_in_per_s for cell in restarts)
    _add_latency(row, sound or restarts)
    row.by_operation_ns = {op: {name: median(cell.by_operation_ns[op].get(name) for cell in sound or restarts
                                             if op in cell.by_operation_ns)
                                for name in PERCENTILES} for op in restarts[0].by_operation_ns}
    row.memory_bytes = median(map(connections.memory, restarts))
    row.user_memory_bytes = median(map(connections.user_memory, restarts))
    row.kernel_memory_bytes = median(map(connections.kernel_memory, restarts))
    row.threads_per_connection = median(map(connections.threads, restarts))
    row.connects_per_s = median(cell.connects_per_s for cell in restarts)
    row.connect_ns = {name: value for name in PERCENTILES
                      if (value := median(cell.connect_ns.get(name) for cell in restarts))}
    row.threads = max((cell.server.threads for cell in restarts if cell.server.threads is not None), default=None)
    return row


def median(values: Iterable[float | None]) -> float | None:
    """Of the values that are known; None if there are none."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def exp(interval: Interval | None) -> Interval | None:
    return interval.exp() if interval else None


def cost_of(cell: Cell) -> float | None:
    """Server CPU nanoseconds of all slices, settling time and drain included, divided by the requests in them, less the
    added work that was burnt; None where it is not known."""
    requests = sum(piece.requests_total for piece in cell.slices)
    used_ns = [piece.server_cpu_ns for piece in cell.slices if piece.server_cpu_ns is not None]
    added = added_work_ns_per_request(cell)
    if not requests or added is None or len(used_ns) < len(cell.slices):
        return None
    return sum(used_ns) / requests - added


def added_work_ns_per_request(cell: Cell) -> float | None:
    """What was really burnt as added work, as the server reports; of a control's, the part that is not its own burn."""
    asked = cell.workload.added_work_ns
    if not asked:
        return 0
    burnt = recovery.burnt_ns_per_request(cell)
    return None if burnt is None else burnt * asked / (asked + (cell.control.burn_ns if cell.control else 0))


def slice_cpu(piece: Slice) -> float:
    """Server CPU nanoseconds per request of one slice; 0 when not known."""
    return (piece.server_cpu_ns or 0) / piece.requests_total if piece.requests_total else 0


def slice_cost(cell: Cell) -> Callable[[Slice], float]:
    """The same less the added work, as a function of a slice of this cell."""
    added = added_work_ns_per_request(cell)
    return lambda piece: slice_cpu(piece) - added if added is not None else 0


def slice_rate(piece: Slice) -> float:
    """Requests per nanosecond of one slice."""
    return piece.requests / piece.elapsed_ns if piece.elapsed_ns else 0


def log_ratios(cells: Iterable[Cell], variant: str, reference: str,
               figure_of: Callable[[Cell], Callable[[Slice], float]]) -> dict[int, list[float]]:
    """{restart: log ratios of a figure, paired by round}, the variant against the reference in its own block;
    figure_of(cell) gives the function of a slice.  `cells` are comparable."""
    references = {(cell.block, cell.restart): cell for cell in cells if cell.variant == reference}
    ratios = {}
    for cell in cells:
        other = references.get((cell.block, cell.restart))
        if cell.variant != variant or variant == reference or other is None:
            continue
        own, others = ({piece.index: figure_of(side)(piece) for piece in side.slices} for side in (cell, other))
        if pairs := paired(own, others, log_ratio):
            ratios[cell.restart] = pairs
    return ratios


def cell_log_ratios(cells: Iterable[Cell], variant: str, reference: str,
                    figure_of: Callable[[Cell], float | None]) -> dict[int, float]:
    """{restart: log ratio of a figure of whole cells} in the same way; figure_of(cell) is None, or 0, where it is not
    known."""
    known = {(cell.block, cell.restart, cell.variant): figure for cell in cells
             if (figure := figure_of(cell)) and figure > 0}
    return {restart: log_ratio(figure, known[block, restart, reference])
            for (block, restart, name), figure in sorted(known.items())
            if name == variant and (block, restart, reference) in known}


def user_share(cells: Collection[Cell]) -> float | None:
    """Of the server's CPU time in all restarts, how much was spent outside the kernel: 0 to 1.  The kernel samples that
    at its ticks; None if the time holds fewer than about a hundred ticks, or if most of it is added work."""
    user, system = sum(cell.server.cpu_user_ns for cell in cells), sum(cell.server.cpu_system_ns for cell in cells)
    if any(cell.workload.added_work_ns for cell in cells) or user + system < LEAST_CPU_NS_FOR_SHARES:
        return None
    return user / (user + system)


def _add_latency(row: Row, cells: Sequence[Cell]) -> None:
    """Percentiles of the merged histogram of all restarts, medians over restarts where a histogram is missing; and
    their range over restarts, which scatter too much for an interval."""
    row.latency_kind = "response" if cells[0].load in ("open-loop", "equal-load") else "service"
    latencies = [cell.response_ns if row.latency_kind == "response" else cell.service_ns for cell in cells]
    for name in PERCENTILES:
        values = [value for latency in latencies if (value := latency.get(name))]
        if len(values) == len(cells):
            row.latency_ns[name] = round(statistics.median(values))
            row.latency_ranges[name] = (min(values), max(values))
    encoded = [cell.histograms[row.latency_kind] for cell in cells if row.latency_kind in cell.histograms]
    row.latency_from = "median"
    if len(encoded) == len(cells):
        row.latency_from = "merged"
        row.histogram = merge([decode(text) for text in encoded])
        row.latency_ns = {name: value for name in PERCENTILES
                          if (value := row.histogram.percentile(float(name[1:]))) is not None}
