"""How far the load generator's latencies are from the truth on this host: what it reports of a server that answers at times fixed in
advance, next to what that server reports that its requests took."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from . import Failure
from .plan.placement import place
from .plan.topology import read_topology
from .plan.variants import Variant
from .report.terminal import plain_table
from .result import histogram
from .run.programs import program, read_json, run_to_end
from .run.servers import Server

SCHEDULES = {"constant": "each after 1 ms", "bimodal": "each after 200 µs, 1 % after 10 ms",
             "stalls": "each after 200 µs, but none in the first 50 ms of a second"}
PERCENTS = (50, 99, 99.9)
LOW_RATE = 1_000  # a second
ALLOWED_SHARE, ALLOWED_NS = 0.01, 20_000  # off by 1 % and 20 us: as good as the truth
CONNECTIONS, PIPELINE = 100, 64
DURATION_S, ROUNDS = 10, 3
CAPACITY_S = 2
END_S = 60


@dataclass(frozen=True)
class Reading:
    """Of one run, in nanoseconds; `truth` and `reported` by percentile."""

    truth: dict
    reported: dict
    send_delay_ns: int  # 99.9 % of the sends were no later than that
    verdict: str
    requests: int

    def off(self, percent):
        return self.reported[percent] - self.truth[percent]

    def is_true(self, percent):
        return abs(self.off(percent)) <= ALLOWED_SHARE * self.truth[percent] + ALLOWED_NS


def measure(schedule, rate, duration_s, placement):
    """A new server of that schedule under an open loop; closed, as fast as it goes, with rate None."""
    server = Server(Variant("scheduled", command=(str(program("loadgen", "echo-scheduled-server")), "--cpus", "{cpus}",
                                                  "--schedule", schedule), announces=True), "frame", placement)
    load = ["-R", str(rate), "--pipeline", str(PIPELINE)] if rate else ["--pipeline", "4"]
    with server, tempfile.TemporaryDirectory(prefix="echobench-") as scratch:
        file = Path(scratch) / "result.json"
        status, stderr = run_to_end(
            [str(program("loadgen", "echo-load")), "-c", str(CONNECTIONS), *load, "-d", f"{duration_s}s", "--warmup", "0", "--busy-poll",
             "--cpus", placement.client_cpus, "--json", str(file), server.address], duration_s + END_S)
        if status != 0:
            raise Failure(f"schedule {schedule}: echo-load ended with status {status}: {stderr.strip()}")
        [cell] = read_json(file, "echo-load")["cells"]
    if server.stopped is None:
        raise Failure(f"schedule {schedule}: echo-scheduled-server did not report what its requests took: {server.end()}")
    return cell, server.stopped


def read(schedule, rate, duration_s, placement):
    cell, stopped = measure(schedule, rate, duration_s, placement)
    if stopped["requests"] != cell["requests_total"]:
        raise Failure(f"schedule {schedule}: the client received {cell['requests_total']:,} of {stopped['requests']:,} replies")
    reported, send_delay = (histogram.decode(cell["histograms"][kind]) for kind in ("response", "send_delay"))
    return Reading({percent: stopped["took_ns"][f"p{percent:g}"] for percent in PERCENTS},
                   {percent: reported.at(percent) for percent in PERCENTS}, send_delay.at(99.9), cell["verdict"], cell["requests_total"])


def run(options, console):
    placement = place(read_topology())
    duration_s, rounds = options.duration or DURATION_S, options.rounds or ROUNDS
    capacity = measure("none", None, CAPACITY_S, placement)[0]["throughput_per_s"]
    console.print(f"server on CPU {placement.server_cpus}, client, which never sleeps, on CPU {placement.client_cpus}; capacity "
                  f"{capacity:,.0f}/s; {rounds} rounds of {duration_s:g} s; each figure is the median of the rounds, with the lowest and the highest in brackets",
                  soft_wrap=True)
    rows = {(schedule, rate): [] for rate in (LOW_RATE, round(capacity / 2)) for schedule in SCHEDULES}
    for _ in range(rounds):
        for (schedule, rate), readings in rows.items():
            readings.append(read(schedule, rate, duration_s, placement))
    console.print(table(rows))
    judged = [reading.is_true(percent) for readings in rows.values() for reading in readings for percent in PERCENTS]
    console.print(f"{sum(judged)} of {len(judged)} percentiles are within {100 * ALLOWED_SHARE:g} % and {ALLOWED_NS / 1000:g} µs "
                  "of the truth; * marks those that are not in every round")
    return 0


def table(rows):
    shown = plain_table("Reported latency minus the truth (µs)", [
        ("schedule", "left"), ("requests/s", "right"), *((f"p{percent:g}", "right") for percent in PERCENTS),
        ("send delay p99.9, µs", "right"), ("verdict", "left")])
    for (schedule, rate), readings in rows.items():
        shown.add_row(schedule, f"{rate:,}", *(_off(readings, percent) for percent in PERCENTS),
                      _spread([reading.send_delay_ns for reading in readings]),
                      ", ".join(sorted({reading.verdict for reading in readings})))
    return shown


def _off(readings, percent):
    mark = "" if all(reading.is_true(percent) for reading in readings) else " *"
    return _spread([reading.off(percent) for reading in readings]) + mark


def _spread(times_ns):
    us = sorted(time / 1000 for time in times_ns)
    return f"{median(us):.1f} \\[{us[0]:.1f} {us[-1]:.1f}]"
