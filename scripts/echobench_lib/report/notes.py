"""What the reader of a result's tables must know; only what applies to them."""

import statistics
from collections.abc import Container, Sequence

from ..analyse import drift
from ..analyse.summary import Group
from ..plan.topology import parse_cpu_list
from ..result import Result
from ..result.model import Run, Until
from ..units import format_time_ns, listed
from . import blocking, scaling
from .columns import over_rounds

OTHERS_WORTH_SAYING = 0.05


def notes(groups: Sequence[Group], result: Result) -> list[str]:
    """What the reader of these tables must know; only what applies to them."""
    rows = [row for group in groups for row in group.rows]
    loads = {group.workload.load for group in groups}
    reference = groups[0].reference if groups else ""
    lines = list(filter(None, [_other_programs(result.runs)]))
    if any(row.cost_ratio for row in rows):
        lines.append(f"ratio: server CPU per request divided by that of {reference}, paired slice by slice within a "
                     "run; absolute figures are the reference's times the ratio. The intervals are of this run on this "
                     "host with this build: from run to run ratios of event loops scatter by 1 % (standard deviation), "
                     "those of threads and pools by 1 to 8 %, and from build to build by less than 0.5 %.")
    if any(group.recoveries for group in groups):
        lines.append("control: the reference with added work, NAME+TIME or NAME+PERCENT of its cost; costs are ranked "
                     "only if it is distinguished from the reference. At equal load a busier server sleeps less often, "
                     "so added work may cost less than it burns. Elsewhere recovery, what it shows divided by what it "
                     "burns, must be 100 %: passed: its interval lies within 80 to 125 %; biased: outside; "
                     "inconclusive: neither, and its uncertainty is in the intervals of the ratios.")
    if any(row.rank for row in rows):
        lines.append("rank: 1 costs least; 2–4: one of these, the run does not say which. All pairs of a table are "
                     "compared at 5 % together (Holm's method over restarts).")
    units = {(row.cost_ratio.unit, row.cost_ratio.units) for row in rows if row.cost_ratio}
    if any(row.cost_ratio and over_rounds(row.cost_ratio) for row in rows):
        lines.append("*: one restart only; the interval is over the rounds within it and does not cover how restarts "
                     "scatter.")
    if few := sorted({count for unit, count in units if unit == "restart" and count < 5}):
        lines.append(f"intervals are over restarts; some have only {', '.join(map(str, few))} of them, which makes "
                     "them wide.")
    if "saturation" in loads:
        added = sorted({group.workload.added_work_ns for group in groups if group.workload.added_work_ns})
        lines.append(f"saturation: every server burns {' or '.join(format_time_ns(ns) for ns in added)} for each "
                     "request, so that it is the bottleneck; what it really burnt is subtracted.")
    if "closed-loop" in loads:
        lines.append("CPU µs/req (closed loop): biased, because a server that is faster than its client pays for "
                     "waking up; it is never ranked.")
    if loads & {"equal-load", "saturation", "ping-pong", "open-loop"}:
        lines.append("equal load, saturation, ping-pong, open loop: the client polls and never sleeps; client busy is "
                     "the part of the time in which it worked.")
    if any(row.is_bound for group in groups if group.workload.load in ("closed-loop", "crr") for row in group.rows):
        lines.append("≥: the client was the bottleneck, so the server could do at least this; it is not ranked.")
    if any(row.latency_ns for row in rows):
        how = {"merged": "of all restarts merged", "median": "medians over restarts"}
        kinds = " / ".join(sorted({how[row.latency_from] for row in rows if row.latency_ns}))
        lines.append(f"p50 to p99.9 ({kinds}): response time from the intended send at equal load and in the open "
                     "loop, else service time; absent with fewer than 100 samples beyond.")
    if any(row.memory_bytes is not None for row in rows):
        lines.append("mem/conn: growth of memory and page tables and 16 KiB of kernel stack per thread, divided by the "
                     "connections; without socket buffers. Not reported with fewer than 100 connections, nor for "
                     "connect, request, close.")
    lines += blocking.notes(groups, len(parse_cpu_list(result.placement.server_cpus)) if result.placement else 0)
    lines += scaling.notes(groups)
    lines += _remarks(result, {row.variant for row in rows})
    lines += [f"{name} cannot run here: {reason}" for name, reason in result.unavailable.items()]
    if "idle" in loads:
        lines.append("idle: all connections stay open and one in a hundred is driven, one server at a time; kernel "
                     "memory: stacks, page tables and socket buffers; connect: until the connection was accepted.")
    lines += result.unserved
    lines += dict.fromkeys(run.warning for run in result.runs if run.warning is not None)
    lines += filter(None, [drift.sentence(drift.drift(result, reference), reference), _precision(result.until)])
    return lines


def _remarks(result: Result, shown: Container[str]) -> list[str]:
    """What models say must be known of them, those of one remark together."""
    remarks: dict[str, list[str]] = {}
    for model in result.models:
        if model.remark and model.name in shown:
            remarks.setdefault(model.remark, []).append(model.name)
    return [f"{listed(names)}: {remark}." for remark, names in remarks.items()]


def _other_programs(runs: Sequence[Run]) -> str:
    """Empty if they used next to nothing."""
    shares = [run.other_programs for run in runs if run.other_programs is not None]
    used = statistics.median(shares) if shares else 0.0
    if used <= OTHERS_WORTH_SAYING:
        return ""
    return (f"other programs used the servers' CPUs for {100 * used:.0f} % of the time (median over runs). A CPU that "
            "is never idle changes what it costs to wake a server: costs at equal load and ping-pong, and their order, "
            "are those of this host as it was. Stop these programs, or give the servers another CPU (placement in the "
            "experiment).")


def _precision(until: Until | None) -> str:
    """`± 1.9 % reached after 5 to 14 restarts (the widest: VARIANT in BLOCK); ± 1 % would take 14 more minutes`; empty
    if there was a number of restarts."""
    if not until:
        return ""
    asked = f"± {100 * until.asked:.2g} % asked for"
    if until.reached is None or until.further is None:
        why = "a ratio is of one restart" if until.stopped else "the run was interrupted"
        return f"{asked}: not known what was reached, because {why}"
    last = until.looks[-1]
    restarts = last.restarts.values()
    after = f"{min(restarts)} to {max(restarts)}" if min(restarts) < max(restarts) else f"{max(restarts)}"
    text = f"{asked}, ± {100 * until.reached:.2g} % reached after {after} restarts"
    if until.stopped == "budget":
        text += " and all of the time"
    text += f" (the widest: {last.variant} in {last.block})"
    takes_s = until.further.takes_s
    more = f"{takes_s / 60:.0f} more minutes" if takes_s > 90 else f"{takes_s} more seconds"
    return f"{text}; ± {100 * until.further.half_width:.2g} % would take {more}"
