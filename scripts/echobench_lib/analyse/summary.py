"""The rows of a table: all restarts of one variant under one workload, put together."""

import math
import statistics
from dataclasses import dataclass, field

from ..result import workload_of
from ..result.histogram import Histogram, decode, merge
from . import connections, recovery
from .recovery import wakeups_per_request
from .statistics import Interval, Rank, log_ratio, of_rounds, over_restarts, paired, ranks, trimmed_mean_interval

PRECEDENCE = ("wrong-replies", "errors", "client-bound", "overloaded", "starved", "unsaturated", "valid")
PERCENTILES = ("p50", "p99", "p99.9")
LEAST_CPU_NS_FOR_SHARES = 400_000_000  # 100 ticks of 250 Hz
COST, TIME = "CPU per request", "throughput"  # figures that have a recovery
FIGURES = {"equal-load": (COST,), "saturation": (COST,), "ping-pong": (COST,), "open-loop": (), "closed-loop": (COST, TIME),
           "stream": (),
           "crr": (COST, TIME), "idle": ()}
RANKED = ("equal-load", "saturation", "ping-pong", "crr")  # loads whose costs are compared; the closed loop's are biased
SATURATED_SERVER, SATURATED_CLIENT = 0.95, 0.90  # busy at least, and less than that


@dataclass
class Row:
    """One variant under one workload.  Absent figures are None; absolute ones are medians over restarts.  Costs are
    server CPU nanoseconds a request, the added work subtracted; `cost_ns` is the reference's times `cost_ratio`, so that both
    are over the same restarts.  `kept`: the cells that enter ratios, costs and recoveries."""

    variant: str
    cells: list
    kept: list
    verdict: str
    reasons: list
    control_of: str | None = None
    throughput: float | None = None
    cost_ns: float | None = None
    cost_log_ratios: dict = field(default_factory=dict)  # {restart: of its rounds, to the reference}
    cost_ratio: Interval | None = None
    rank: Rank | None = None
    user_share: float | None = None
    wakeups: float | None = None  # voluntary context switches a request
    server_busy: float | None = None
    client_busy: float | None = None
    throughput_ratio: Interval | None = None
    latency_ns: dict = field(default_factory=dict)
    latency_ranges: dict = field(default_factory=dict)  # {percentile: (lowest, highest)} of the restarts
    latency_kind: str = "service"
    latency_from: str = "merged"
    histogram: Histogram | None = None
    bytes_out_per_s: float | None = None  # to the server, headers included
    bytes_in_per_s: float | None = None
    by_operation_ns: dict = field(default_factory=dict)  # {operation: {percentile: median over restarts}}, of a mix
    memory_bytes: float | None = None
    threads: int | None = None
    user_memory_bytes: float | None = None  # per connection, as are the next two
    kernel_memory_bytes: float | None = None
    threads_per_connection: float | None = None
    connects_per_s: float | None = None
    connect_ns: dict = field(default_factory=dict)

    @property
    def is_bound(self):
        """The client was the bottleneck: throughput is a lower bound, and must not be ranked."""
        return self.verdict == "client-bound"

    @property
    def cost_interval(self):
        """Of the absolute cost: the bounds are those of the ratio, and of the reference those of its own cost over restarts, which
        contain how the host's speed drifted.  No bounds with one restart."""
        if self.cost_ratio:
            return self.cost_ratio.scaled(self.cost_ns / self.cost_ratio.estimate)
        return self.own_cost

    @property
    def own_cost(self):
        """The interval of its cost over the restarts that are kept; None where no cost is known."""
        costs = [cost for cell in self.kept if (cost := cost_of(cell)) is not None]
        return trimmed_mean_interval(costs) if costs else None


@dataclass
class Group:
    """One table: every variant under one workload.  `recoveries` {figure: a Recovery for each control}."""

    workload: object
    rate_per_s: float | None
    reference: str
    rows: list
    restarts: int
    recoveries: dict
    unavailable: dict = field(default_factory=dict)  # {variant: why it could not run there}

    def row(self, variant):
        return next((row for row in self.rows if row.variant == variant), None)

    @property
    def is_ranked(self):
        """By cost."""
        return self.workload.load in RANKED and not self.unranked(COST) and any(row.cost_ratio for row in self.rows)

    def recovery(self, figure):
        """That decides what is said of `figure`; None without a control."""
        return recovery.deciding(self.recoveries.get(figure, []), self.reference)

    def doubt(self, figure):
        """Why `figure` must be neither ranked nor judged; empty where it may be.  A control that was driven and does not count, for it was
        not sound, or not saturated, shows nothing."""
        if decides := self.recovery(figure):
            return decides.doubt
        return f"control {recovery.INCONCLUSIVE}" if self.controls else recovery.NO_CONTROL

    @property
    def controls(self):
        """The rows of the reference's controls."""
        return [row for row in self.rows if row.control_of == self.reference]

    def unranked(self, figure):
        """The same, but a result without controls is ranked all the same: a line below its table says that it had none."""
        doubt = self.doubt(figure)
        return "" if doubt == recovery.NO_CONTROL else doubt

    @property
    def is_biased(self):
        """Its costs are no measure of a server, and not shown as ratios."""
        decides = self.recovery(COST)
        return decides is not None and decides.outcome == recovery.BIASED


def summarise(document, reference):
    """The groups of a result, in the order of their workloads."""
    threads = document.get("placement", {}).get("server_threads", 1)
    by_workload = {}
    for cell in document["cells"]:
        by_workload.setdefault(workload_of(cell), []).append(cell)
    _arrange(document, by_workload)
    groups = [_group(workload, by_workload[workload], reference, threads)
              for workload in sorted(by_workload, key=lambda workload: workload.order)]
    for group in groups:
        group.unavailable = _unavailable(document, group.workload, {other.workload.framing for other in groups})
    return groups


def _arrange(document, by_workload):
    """Puts each workload's cells into the order of the experiment: those measured one at a time come as they were drawn."""
    entries = document.get("experiment", {}).get("variants", [])
    places = {entry if isinstance(entry, str) else entry["name"]: place for place, entry in enumerate(entries)}

    def place(cell):
        control, scaled = cell.get("control", {}).get("of", cell["variant"]), cell.get("scaled", {}).get("of")
        return places.get(scaled or control, len(places))
    for cells in by_workload.values():
        cells.sort(key=place)


def _unavailable(document, workload, framings):
    """{variant: reason} of those that would have a row under this workload, could they run; where nobody else speaks their
    framing, in the tables of the experiment's."""
    experiment, reasons = document.get("experiment", {}), document.get("unavailable", {})
    entries = [{"name": entry} if isinstance(entry, str) else entry for entry in experiment.get("variants", [])]
    asked = {load.get("framing", experiment.get("framing")) for load in experiment.get("loads", []) if load["load"] == workload.load}
    return {entry["name"]: reasons[entry["name"]] for entry in entries if entry["name"] in reasons
            and (workload.framing == spoken if (spoken := entry.get("framing")) in framings else workload.framing in asked)
            and not ("command" in entry and workload.load == "saturation")}


def _group(workload, cells, reference, threads):
    kept = comparable(cells)
    threads = next((cell["scaled"]["threads"] for cell in cells if cell["variant"] == reference and "scaled" in cell), threads)
    figures = {COST: slice_cpu, TIME: lambda piece: threads / rate if (rate := slice_rate(piece)) else 0}
    recoveries = {figure: recovery.recoveries(kept, figures[figure]) for figure in FIGURES[workload.load]}
    rows = [_row(variant, cells, kept, reference) for variant in dict.fromkeys(cell["variant"] for cell in cells)]
    rates = [cell["workload"]["rate_per_s"] for cell in cells if "rate_per_s" in cell["workload"]]
    group = Group(workload, rates[0] if rates else None, reference, rows, len({cell["restart"] for cell in cells}), recoveries)
    _set_costs(group)
    _order(group)
    _rank(group)
    return group


def _set_costs(group):
    """Of each row as the reference's times its ratio, whose interval has what the control leaves open in it."""
    reference, decides = group.row(group.reference), group.recovery(COST)
    for row in group.rows:
        if row.cost_ratio:
            if reference is not None and reference.cost_ns is not None:
                row.cost_ns = reference.cost_ns * row.cost_ratio.estimate
            if decides:
                row.cost_ratio = decides.widened(row.cost_ratio)


def _order(group):
    """By what the rows show, the one that costs least first, the controls last; where costs are biased or not the question, in the order
    of the experiment."""
    shown = group.workload.load in RANKED and not group.is_biased

    def place(row):
        if not shown:
            return 0
        return row.cost_ratio.estimate if row.cost_ratio else 1 if row.variant == group.reference else math.inf
    group.rows.sort(key=lambda row: (row.control_of is not None, place(row)))


def _rank(group):
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


def comparable(cells):
    """Those cells of a workload that enter ratios, recoveries and costs: in each block the same restarts of every variant.

    A variant that is sound in fewer than half of its restarts is left out of them; then each restart in which another is not sound.
    Whether a server was saturated is asked of the median of its restarts, so that none is lost by a hair."""
    by_block = {}
    for cell in cells:
        by_block.setdefault(cell["block"], {}).setdefault(cell["variant"], {})[cell["restart"]] = cell
    kept = []
    for variants in by_block.values():
        restarts = sorted({restart for of in variants.values() for restart in of})
        steady = {variant: of for variant, of in variants.items()
                  if is_saturated(of.values()) and 2 * sum(map(is_sound, of.values())) >= len(restarts)}
        common = [restart for restart in restarts if all(restart in of and is_sound(of[restart]) for of in steady.values())]
        kept += [of[restart] for of in steady.values() for restart in common]
    return kept


def is_sound(cell):
    """Whether a cell's figures say something of the server: not where replies or connections were lost, nor where a load that was to
    be equal was not."""
    return cell["verdict"] in sound_verdicts(cell["load"])


def sound_verdicts(load):
    """A client that is the bottleneck leaves a load neither equal nor saturated; other throughputs it turns into lower bounds.
    An overloaded server did not serve the load that was to be equal, but its latency is what users would see."""
    if load == "open-loop":
        return ("valid", "overloaded")
    return ("valid",) if load in ("equal-load", "saturation") else ("valid", "client-bound")


def is_saturated(cells):
    """Of the restarts of one variant, if they were to be: the server was the bottleneck beyond doubt, and the client had time to
    spare."""
    cells = list(cells)
    return (cells[0]["load"] != "saturation"
            or statistics.median(cell.get("server", {}).get("busy", 0) for cell in cells) >= SATURATED_SERVER
            and statistics.median(cell.get("client_busy", 1) for cell in cells) < SATURATED_CLIENT)


def verdict_of(cells):
    """Of the restarts of one variant: the worst."""
    worst = min((cell["verdict"] for cell in cells), key=PRECEDENCE.index)
    return "unsaturated" if worst == "valid" and not is_saturated(cells) else worst


def reasons_of(cells):
    """Of the restarts of one variant, each with its number if there are several."""
    reasons = {(f"restart {cell['restart'] + 1}: " if len(cells) > 1 else "") + reason: None
               for cell in cells for reason in cell["reasons"] + cell.get("checks", [])}
    if verdict_of(cells) == "unsaturated":
        server, client = (100 * (median(values) or 0) for values in
                          ([cell.get("server", {}).get("busy") for cell in cells], [cell.get("client_busy") for cell in cells]))
        reasons[f"the server was not saturated: it was busy {server:.0f} % of the time, and the client {client:.0f} %: raise added_work in "
                "the experiment"] = None
    return list(reasons)


def _row(variant, cells, kept, reference):
    restarts = [cell for cell in cells if cell["variant"] == variant]
    sound = [cell for cell in kept if cell["variant"] == variant]
    verdict = verdict_of(restarts)
    row = Row(variant, restarts, sound, verdict, reasons_of(restarts), restarts[0].get("control", {}).get("of"))
    if verdict == "wrong-replies":
        return row  # a wrong answer yields no figure
    row.throughput = statistics.median(cell["throughput_per_s"] for cell in restarts)
    row.cost_ns = own.estimate if (own := row.own_cost) else None
    row.cost_log_ratios = log_ratios(kept, variant, reference, slice_cost)
    row.cost_ratio = exp(over_restarts(list(row.cost_log_ratios.values())))
    row.throughput_ratio = exp(over_restarts(list(log_ratios(kept, variant, reference, lambda _: slice_rate).values())))
    row.user_share = user_share(sound)
    row.wakeups = median(map(wakeups_per_request, sound))
    row.server_busy = median(cell.get("server", {}).get("busy") for cell in restarts)
    row.client_busy = median(cell.get("client_busy") for cell in restarts)
    row.bytes_out_per_s, row.bytes_in_per_s = (median(cell.get(f"bytes_{way}_per_s") for cell in restarts) for way in ("out", "in"))
    _add_latency(row, sound or restarts)
    row.by_operation_ns = {op: {name: median(cell.get("by_operation_ns", {}).get(op, {}).get(name) for cell in sound or restarts)
                                for name in PERCENTILES} for op in restarts[0].get("by_operation_ns", {})}
    row.memory_bytes = median(map(connections.memory, restarts))
    row.user_memory_bytes = median(map(connections.user_memory, restarts))
    row.kernel_memory_bytes = median(map(connections.kernel_memory, restarts))
    row.threads_per_connection = median(map(connections.threads, restarts))
    row.connects_per_s = median(cell.get("connects_per_s") for cell in restarts)
    row.connect_ns = {name: value for name in PERCENTILES if (value := median(cell.get("connect_ns", {}).get(name) for cell in restarts))}
    threads = [cell["server"]["threads"] for cell in restarts if "threads" in cell.get("server", {})]
    row.threads = max(threads) if threads else None
    return row


def median(values):
    """Of the values that are known; None if there are none."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def exp(interval):
    return interval.exp() if interval else None


def cost_of(cell):
    """Server CPU nanoseconds of all slices, settling time and drain included, divided by the requests in them, less the added work that
    was burnt; None where it is not known."""
    requests = sum(piece["requests_total"] for piece in cell["slices"])
    added = added_work_ns_per_request(cell)
    if not requests or added is None or any("server_cpu_ns" not in piece for piece in cell["slices"]):
        return None
    return sum(piece["server_cpu_ns"] for piece in cell["slices"]) / requests - added


def added_work_ns_per_request(cell):
    """What was really burnt as added work, as the server reports; of a control's, the part that is not its own burn."""
    asked = cell["workload"].get("added_work_ns", 0)
    if not asked:
        return 0
    burnt = recovery.burnt_ns_per_request(cell)
    return None if burnt is None else burnt * asked / (asked + cell.get("control", {}).get("burn_ns", 0))


def slice_cpu(piece):
    """Server CPU nanoseconds per request of one slice; 0 when not known."""
    return piece.get("server_cpu_ns", 0) / piece["requests_total"] if piece["requests_total"] else 0


def slice_cost(cell):
    """The same less the added work, as a function of a slice of this cell."""
    added = added_work_ns_per_request(cell)
    return lambda piece: slice_cpu(piece) - added if added is not None else 0


def slice_rate(piece):
    """Requests per nanosecond of one slice."""
    return piece["requests"] / piece["elapsed_ns"] if piece["elapsed_ns"] else 0


def log_ratios(cells, variant, reference, figure_of):
    """{restart: log ratios of a figure, paired by round}, the variant against the reference in its own block; figure_of(cell) gives
    the function of a slice.  `cells` are comparable."""
    references = {(cell["block"], cell["restart"]): cell for cell in cells if cell["variant"] == reference}
    ratios = {}
    for cell in cells:
        other = references.get((cell["block"], cell["restart"]))
        if cell["variant"] != variant or variant == reference or other is None:
            continue
        sides = [{piece["index"]: figure_of(side)(piece) for piece in side["slices"]} for side in (cell, other)]
        if pairs := paired(*sides, log_ratio):
            ratios[cell["restart"]] = pairs
    return ratios


def cell_log_ratios(cells, variant, reference, figure_of):
    """{restart: log ratio of a figure of whole cells} in the same way; figure_of(cell) is None, or 0, where it is not known."""
    known = {(cell["block"], cell["restart"], cell["variant"]): figure for cell in cells
             if (figure := figure_of(cell)) and figure > 0}
    return {restart: log_ratio(figure, known[block, restart, reference]) for (block, restart, name), figure in sorted(known.items())
            if name == variant and (block, restart, reference) in known}


def user_share(cells):
    """Of the server's CPU time in all restarts, how much was spent outside the kernel: 0 to 1.  The kernel samples that at
    its ticks; None if the time holds fewer than about a hundred ticks, or if most of it is added work."""
    user, system = (sum(cell.get("server", {}).get(f"cpu_{kind}_ns", 0) for cell in cells) for kind in ("user", "system"))
    if any(cell["workload"].get("added_work_ns") for cell in cells) or user + system < LEAST_CPU_NS_FOR_SHARES:
        return None
    return user / (user + system)


def _add_latency(row, cells):
    """Percentiles of the merged histogram of all restarts, medians over restarts where a histogram is missing; and their
    range over restarts, which scatter too much for an interval."""
    row.latency_kind = "response" if cells[0]["load"] in ("open-loop", "equal-load") else "service"
    encoded = [cell.get("histograms", {}).get(row.latency_kind) for cell in cells]
    for name in PERCENTILES:
        values = [cell.get(f"{row.latency_kind}_ns", {}).get(name) for cell in cells]
        if all(values):
            row.latency_ns[name] = round(statistics.median(values))
            row.latency_ranges[name] = (min(values), max(values))
    row.latency_from = "median"
    if all(encoded):
        row.latency_from = "merged"
        row.histogram = merge([decode(text) for text in encoded])
        row.latency_ns = {name: value for name in PERCENTILES
                          if (value := row.histogram.percentile(float(name[1:]))) is not None}
