"""The rows of a table: all restarts of one variant under one workload, put together."""

import math
import statistics as plain
from dataclasses import dataclass, field

from . import hdr
from .result import workload_of
from .statistics import Interval, paired_log_ratios, ratio_over_restarts

PRECEDENCE = ("wrong-replies", "errors", "client-bound", "starved", "valid")
PERCENTILES = ("p50", "p99", "p99.9")
THREAD_STACK_BYTES = 16 * 1024  # kernel stack of a thread on x86-64 Linux
LEAST_CONNECTIONS_FOR_MEMORY = 100  # below, pages and allocator noise outweigh the connections


@dataclass
class Row:
    """One variant under one workload.  Absent figures are None; absolute ones are medians over restarts."""

    variant: str
    cells: list
    verdict: str
    reasons: list
    throughput: float | None = None
    cpu_ns: float | None = None
    cpu_ratio: Interval | None = None
    throughput_ratio: Interval | None = None
    latency_ns: dict = field(default_factory=dict)
    latency_kind: str = "service"
    latency_from: str = "merged"
    histogram: hdr.Histogram | None = None
    memory_bytes: float | None = None
    threads: int | None = None

    @property
    def is_bound(self):
        """The client was the bottleneck: throughput is a lower bound, and must not be ranked."""
        return self.verdict == "client-bound"


@dataclass
class Group:
    """One table: every variant under one workload, the cheapest (CPU per request) first."""

    workload: object
    rate: float | None
    reference: str
    rows: list
    restarts: int

    def row(self, variant):
        return next((row for row in self.rows if row.variant == variant), None)


def summarise(document, reference):
    """The groups of a result, in the order of their workloads."""
    by_workload = {}
    for cell in document["cells"]:
        by_workload.setdefault(workload_of(cell), []).append(cell)
    return [_group(workload, by_workload[workload], reference)
            for workload in sorted(by_workload, key=lambda workload: workload.order)]


def _group(workload, cells, reference):
    variants = dict.fromkeys(cell["variant"] for cell in cells)
    rows = [_row(variant, cells, reference) for variant in variants]
    rows.sort(key=lambda row: (_cost(row, reference), row.cpu_ns or math.inf))
    rates = [cell["workload"]["rate_per_s"] for cell in cells if "rate_per_s" in cell["workload"]]
    return Group(workload, rates[0] if rates else None, reference, rows,
                 len({cell["restart"] for cell in cells}))


def _cost(row, reference):
    if row.cpu_ratio:
        return row.cpu_ratio.estimate
    return 1 if row.variant == reference else math.inf


def _row(variant, cells, reference):
    own = [cell for cell in cells if cell["variant"] == variant]
    verdict = min((cell["verdict"] for cell in own), key=PRECEDENCE.index)
    reasons = dict.fromkeys(f"restart {cell['restart'] + 1}: {reason}" if len(own) > 1 else reason
                            for cell in own for reason in cell["reasons"] + cell.get("checks", []))
    row = Row(variant, own, verdict, list(reasons))
    if verdict == "wrong-replies":
        return row  # a wrong answer yields no figure
    row.throughput = plain.median(cell["throughput_per_s"] for cell in own)
    costs = [cost for cell in own if (cost := cpu_ns_per_request(cell)) is not None]
    row.cpu_ns = plain.median(costs) if costs else None
    row.cpu_ratio = ratio_over_restarts(list(log_ratios(cells, variant, reference, slice_cpu).values()))
    row.throughput_ratio = ratio_over_restarts(list(log_ratios(cells, variant, reference, slice_rate).values()))
    _add_latency(row, own)
    row.memory_bytes = plain.median(sizes) if (sizes := [size for cell in own if (
        size := memory_per_connection(cell)) is not None]) else None
    threads = [cell["server"]["threads"] for cell in own if "threads" in cell.get("server", {})]
    row.threads = max(threads) if threads else None
    return row


def cpu_ns_per_request(cell):
    """Server CPU time of all slices, guard and drain included, by the requests in them; None without a pid."""
    if "cpu_ns_per_request" in cell:
        return cell["cpu_ns_per_request"]
    requests = sum(piece["requests_total"] for piece in cell["slices"])
    if not requests or any("server_cpu_ns" not in piece for piece in cell["slices"]):
        return None
    return sum(piece["server_cpu_ns"] for piece in cell["slices"]) / requests


def slice_cpu(piece):
    """Server CPU nanoseconds per request of one slice; 0 when not known."""
    return piece.get("server_cpu_ns", 0) / piece["requests_total"] if piece["requests_total"] else 0


def slice_rate(piece):
    """Requests per nanosecond of one slice."""
    return piece["requests"] / piece["elapsed_ns"] if piece["elapsed_ns"] else 0


def log_ratios(cells, variant, reference, figure):
    """{restart: log ratios of `figure`, paired by round}, each variant against the reference in its own block."""
    references = {(cell["block"], cell["restart"]): cell for cell in cells if cell["variant"] == reference}
    ratios = {}
    for cell in cells:
        other = references.get((cell["block"], cell["restart"]))
        if cell["variant"] != variant or variant == reference or other is None:
            continue
        if "wrong-replies" in (cell["verdict"], other["verdict"]):
            continue
        sides = [{piece["index"]: figure(piece) for piece in side["slices"]} for side in (cell, other)]
        if pairs := paired_log_ratios(*sides):
            ratios[cell["restart"]] = pairs
    return ratios


def memory_per_connection(cell):
    """Bytes per open connection: growth of resident memory, of page tables, and a kernel stack for every thread that
    came with the connections.  Socket buffers of the kernel are not in it.  None where it cannot be told."""
    server = cell.get("server", {})
    opened = cell["connections"]["opened"]
    needed = ("rss_bytes", "rss_base_bytes")
    if cell["load"] == "crr" or opened < LEAST_CONNECTIONS_FOR_MEMORY or any(key not in server for key in needed):
        return None
    growth = server["rss_bytes"] - server["rss_base_bytes"]
    growth += server.get("page_table_bytes", 0) - server.get("page_table_base_bytes", 0)
    growth += THREAD_STACK_BYTES * (server.get("threads", 0) - server.get("threads_base", 0))
    return growth / opened


def _add_latency(row, cells):
    """Percentiles of the merged histogram of all restarts; medians over restarts where a histogram is missing."""
    row.latency_kind = "response" if cells[0]["load"] == "open" else "service"
    encoded = [cell.get("histograms", {}).get(row.latency_kind) for cell in cells]
    if all(encoded):
        row.histogram = hdr.merge([hdr.decode(text) for text in encoded])
        row.latency_ns = {name: value for name in PERCENTILES
                          if (value := row.histogram.percentile(float(name[1:]))) is not None}
        return
    row.latency_from = "median"
    for name in PERCENTILES:
        values = [cell.get(f"{row.latency_kind}_ns", {}).get(name) for cell in cells]
        if all(value is not None for value in values):
            row.latency_ns[name] = round(plain.median(values))
