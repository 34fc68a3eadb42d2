"""The rows of a table: all restarts of one variant under one workload, put together."""

import math
import statistics
from dataclasses import dataclass, field

from ..result import workload_of
from ..result.histogram import Histogram, decode, merge
from . import connections, recovery
from .statistics import Interval, log_ratio, over_restarts, paired, trimmed_mean, trimmed_mean_interval

PRECEDENCE = ("wrong-replies", "errors", "client-bound", "overloaded", "starved", "unsaturated", "valid")
PERCENTILES = ("p50", "p99", "p99.9")
LEAST_CPU_NS_FOR_SHARES = 400_000_000  # 100 ticks of 250 Hz
COST, TIME = "CPU per request", "throughput"  # figures that have a recovery
FIGURES = {"equal-load": (COST,), "saturation": (COST,), "ping-pong": (COST,), "open-loop": (), "closed-loop": (COST, TIME),
           "stream": (),
           "crr": (COST, TIME), "idle": ()}
SATURATED_SERVER, SATURATED_CLIENT = 0.95, 0.90  # busy at least, and less than that


@dataclass
class Row:
    """One variant under one workload.  Absent figures are None; absolute ones are medians over restarts.  Costs are
    server CPU nanoseconds a request, the added work subtracted."""

    variant: str
    cells: list
    verdict: str
    reasons: list
    control_of: str | None = None
    throughput: float | None = None
    cost_ns: float | None = None
    cost_log_ratios: dict = field(default_factory=dict)  # {restart: of its rounds, to the reference}
    cost_ratio: Interval | None = None
    rank: int | None = None  # 1 plus how many are shown to cost less: those that cannot be distinguished share it
    user_share: float | None = None
    wakeups: float | None = None  # voluntary context switches a request
    server_busy: float | None = None
    client_busy: float | None = None
    throughput_ratio: Interval | None = None
    latency_ns: dict = field(default_factory=dict)
    latency_intervals: dict = field(default_factory=dict)
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
        """Of the absolute cost, over sound restarts; no bounds with one."""
        return trimmed_mean_interval([cost for cell in self.cells if is_sound(cell) and (cost := cost_of(cell)) is not None], "restart")


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
        return self.workload.load != "closed-loop" and not self.unranked(COST) and any(row.cost_ratio for row in self.rows)

    def doubt(self, figure):
        """Why `figure` must be neither ranked nor judged; empty where it may be."""
        return recovery.doubt(self.recoveries.get(figure, []), self.reference)

    def unranked(self, figure):
        """The same, but a result without controls is ranked all the same: a line below its table says that it had none."""
        doubt = self.doubt(figure)
        return "" if doubt == recovery.NO_CONTROL else doubt


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
    sound = [cell for cell in cells if is_sound(cell)]
    threads = next((cell["scaled"]["threads"] for cell in cells if cell["variant"] == reference and "scaled" in cell), threads)
    figures = {COST: slice_cpu, TIME: lambda piece: threads / rate if (rate := slice_rate(piece)) else 0}
    recoveries = {figure: recovery.recoveries(sound, figures[figure]) for figure in FIGURES[workload.load]}
    rows = [_row(variant, cells, reference) for variant in dict.fromkeys(cell["variant"] for cell in cells)]
    rates = [cell["workload"]["rate_per_s"] for cell in cells if "rate_per_s" in cell["workload"]]
    group = Group(workload, rates[0] if rates else None, reference, rows, len({cell["restart"] for cell in cells}), recoveries)
    _order(group)
    _rank(group)
    return group


def _order(group):
    """The one that costs least first, the controls last.  By cost if its control passed, else in the order of the experiment.
    A closed loop is not ranked: where the client was the bottleneck its throughput is a bound."""
    ranked = group.is_ranked  # the rows cannot be asked while they are sorted

    def place(row):
        if not ranked:
            return 0
        return row.cost_ratio.estimate if row.cost_ratio else 1 if row.variant == group.reference else math.inf
    group.rows.sort(key=lambda row: (row.control_of is not None, place(row)))


def _rank(group):
    """By cost; a pair is distinguished by the interval of its difference over restarts, at 95 % each."""
    if not group.is_ranked:
        return
    relative = {row.variant: {restart: trimmed_mean(rounds) for restart, rounds in row.cost_log_ratios.items()}
                for row in group.rows if row.control_of is None and row.cost_ratio}
    if group.row(group.reference) is not None:
        relative[group.reference] = dict.fromkeys((restart for of in relative.values() for restart in of), 0.0)

    def costs_less(one, other):
        both = relative[one].keys() & relative[other].keys()
        interval = trimmed_mean_interval([relative[other][restart] - relative[one][restart] for restart in both]) if both else None
        return interval is not None and interval.has_bounds and interval.low > 0
    if max(map(len, relative.values()), default=0) < 2:
        return  # one restart distinguishes nothing
    for row in group.rows:
        if row.variant in relative:
            row.rank = 1 + sum(costs_less(other, row.variant) for other in relative)


def is_sound(cell):
    """Whether a cell's figures may enter ratios, recoveries and medians of cost: not where replies or connections were lost,
    nor where a load that was to be equal, or a server that was to be saturated, was not."""
    return cell["verdict"] in sound_verdicts(cell["load"]) and (cell["load"] != "saturation" or is_saturated(cell))


def sound_verdicts(load):
    """A client that is the bottleneck leaves a load neither equal nor saturated; other throughputs it turns into lower bounds.
    An overloaded server did not serve the load that was to be equal, but its latency is what users would see."""
    if load == "open-loop":
        return ("valid", "overloaded")
    return ("valid",) if load in ("equal-load", "saturation") else ("valid", "client-bound")


def is_saturated(cell):
    """The server was the bottleneck beyond doubt, and the client had time to spare."""
    return (cell.get("server", {}).get("busy", 0) >= SATURATED_SERVER
            and cell.get("client_busy", 1) < SATURATED_CLIENT)


def verdict_of(cell):
    if cell["load"] == "saturation" and cell["verdict"] == "valid" and not is_saturated(cell):
        return "unsaturated"
    return cell["verdict"]


def reasons_of(cell):
    reasons = cell["reasons"] + cell.get("checks", [])
    if verdict_of(cell) == "unsaturated":
        reasons = [*reasons, f"the server was not saturated: it was busy {100 * cell.get('server', {}).get('busy', 0):.0f} % of the "
                   f"time, and the client {100 * cell.get('client_busy', 1):.0f} %: raise added_work in the experiment"]
    return reasons


def _row(variant, cells, reference):
    restarts = [cell for cell in cells if cell["variant"] == variant]
    verdict = min(map(verdict_of, restarts), key=PRECEDENCE.index)
    reasons = dict.fromkeys(f"restart {cell['restart'] + 1}: {reason}" if len(restarts) > 1 else reason
                            for cell in restarts for reason in reasons_of(cell))
    row = Row(variant, restarts, verdict, list(reasons), restarts[0].get("control", {}).get("of"))
    if verdict == "wrong-replies":
        return row  # a wrong answer yields no figure
    sound = [cell for cell in restarts if is_sound(cell)]
    row.throughput = statistics.median(cell["throughput_per_s"] for cell in restarts)
    row.cost_ns = median(cost_of(cell) for cell in sound)
    row.cost_log_ratios = log_ratios(cells, variant, reference, slice_cost)
    row.cost_ratio = exp(over_restarts(list(row.cost_log_ratios.values())))
    row.throughput_ratio = exp(over_restarts(list(log_ratios(cells, variant, reference, lambda _: slice_rate).values())))
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
    """{restart: log ratios of a figure, paired by round}, each variant against the reference in its own block;
    figure_of(cell) gives the function of a slice."""
    references = {(cell["block"], cell["restart"]): cell for cell in cells if cell["variant"] == reference}
    ratios = {}
    for cell in cells:
        other = references.get((cell["block"], cell["restart"]))
        if cell["variant"] != variant or variant == reference or other is None:
            continue
        if not (is_sound(cell) and is_sound(other)):
            continue
        sides = [{piece["index"]: figure_of(side)(piece) for piece in side["slices"]} for side in (cell, other)]
        if pairs := paired(*sides, log_ratio):
            ratios[cell["restart"]] = pairs
    return ratios


def cell_log_ratios(cells, variant, reference, figure_of):
    """{restart: log ratio of a figure of whole cells} in the same way; figure_of(cell) is None, or 0, where it is not known."""
    known = {(cell["block"], cell["restart"], cell["variant"]): figure for cell in cells
             if is_sound(cell) and (figure := figure_of(cell)) and figure > 0}
    return {restart: log_ratio(figure, known[block, restart, reference]) for (block, restart, name), figure in sorted(known.items())
            if name == variant and (block, restart, reference) in known}


def user_share(cells):
    """Of the server's CPU time in all restarts, how much was spent outside the kernel: 0 to 1.  The kernel samples that at
    its ticks; None if the time holds fewer than about a hundred ticks, or if most of it is added work."""
    user, system = (sum(cell.get("server", {}).get(f"cpu_{kind}_ns", 0) for cell in cells) for kind in ("user", "system"))
    if any(cell["workload"].get("added_work_ns") for cell in cells) or user + system < LEAST_CPU_NS_FOR_SHARES:
        return None
    return user / (user + system)


def wakeups_per_request(cell):
    """How often a thread of the server slept, divided by the requests that it answered."""
    requests = sum(piece["requests_total"] for piece in cell["slices"])
    switches = cell.get("server", {}).get("voluntary_switches")
    return switches / requests if requests and switches is not None else None


def _add_latency(row, cells):
    """Percentiles of the merged histogram of all restarts, medians over restarts where a histogram is missing; and their
    intervals over restarts."""
    row.latency_kind = "response" if cells[0]["load"] in ("open-loop", "equal-load") else "service"
    encoded = [cell.get("histograms", {}).get(row.latency_kind) for cell in cells]
    for name in PERCENTILES:
        values = [cell.get(f"{row.latency_kind}_ns", {}).get(name) for cell in cells]
        if all(values):
            row.latency_ns[name] = round(statistics.median(values))
            row.latency_intervals[name] = trimmed_mean_interval([math.log(value) for value in values], "restart").exp()
    row.latency_from = "median"
    if all(encoded):
        row.latency_from = "merged"
        row.histogram = merge([decode(text) for text in encoded])
        row.latency_ns = {name: value for name in PERCENTILES
                          if (value := row.histogram.percentile(float(name[1:]))) is not None}
