"""How far the load generator's figures are from the truth on this host.  A server answers at times fixed in advance,
knows how long its requests took, and logs when the kernel received each: what echo-load reports of response times, of
its own send delay and of the gaps between its requests is compared with that, for each of its engines."""

import json
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

from rich.console import Console
from rich.table import Table

from . import Failure
from .documents import Json
from .plan.placement import Placement, place
from .plan.topology import read_topology
from .plan.variants import Variant
from .report.terminal import plain_table
from .result import histogram
from .run.programs import answer, program, read_json, run_to_end
from .run.servers import Server

ENGINES = ("epoll", "io-uring")
SCHEDULES = {"constant": "each after 1 ms", "bimodal": "each after 200 µs, 1 % after 10 ms",
             "stalls": "each after 200 µs, but none in the first 50 ms of a second"}
PERCENTS = (50, 99, 99.9)
LOW_RATE = 1_000  # a second
CONNECTIONS, PIPELINE = 100, 64
BURST_RATE, BURST_CONNECTIONS, BURST_OPTIONS = 50_000, 2_000, ("--bursts", "2ms/98ms")
ARRIVALS = ("uniform", "poisson")
ARRIVAL_RATES = (10_000, 25_000, 50_000)
ARRIVALS_S = 2
ALLOWED_SHARE, ALLOWED_NS = 0.01, 20_000  # a response time off by 1 % and 20 us is as good as the truth
# What is sent together has one time, and arrives one by one; every request takes some microseconds to be delivered.
DELAY_SHARE, DELAY_NS = 0.1, 20_000
DURATION_S, ROUNDS = 10, 3
CAPACITY_S = 2
LOG_LIMIT = 4_000_000  # requests, of 40 bytes each
END_S = 60

Which = float | Literal["max"]  # of send delays: a percentile, or the largest
DELAYS: tuple[Which, ...] = (50, 99.9, "max")  # those that are compared


@dataclass(frozen=True)
class Reading:
    """Of one run, in nanoseconds; `truth` and `reported` response times by percentile, and the send delay as the client
    reported it and as an observer saw it, by percentile and "max"."""

    truth: dict[float, int]
    reported: dict[float, int]
    verdict: str
    requests: int
    delay: dict[Which, int] = field(default_factory=dict)
    observed_delay: dict[Which, int] = field(default_factory=dict)
    shared: float = 0.0  # of the arrivals: known only as not later than

    def off(self, percent: float) -> int:
        """How much longer the client says that the response time was than it was, in ns."""
        return self.reported[percent] - self.truth[percent]

    def is_true(self, percent: float) -> bool:
        return abs(self.off(percent)) <= ALLOWED_SHARE * self.truth[percent] + ALLOWED_NS

    def delay_agrees(self, which: Which) -> bool:
        observed = self.observed_delay[which]
        return abs(self.delay[which] - observed) <= DELAY_SHARE * observed + DELAY_NS


Row = tuple[str, str, int]  # engine, schedule, requests per second
DelayRow = tuple[str, str]  # engine, load


def measure(schedule: str, duration_s: float, placement: Placement, engine: str, rate: int | None = None,
            connections: int = CONNECTIONS, options: Sequence[str] = ()) -> tuple[Json, Json, Json]:
    """A new server of that schedule under an open loop; closed, as fast as it goes, with rate None.  The client's cell,
    what the server reported, and of an open loop what echo-observe computed from the server's log.  Raises Failure."""
    with tempfile.TemporaryDirectory(prefix="echobench-") as scratch:
        log, file = Path(scratch) / "log.csv", Path(scratch) / "result.json"
        server = Server(Variant("scheduled", command=(
            str(program("loadgen", "echo-scheduled-server")), "--cpus", "{cpus}", "--schedule", schedule,
            *(("--log", str(log), "--log-limit", str(LOG_LIMIT)) if rate else ())), announces=True), "frame", placement)
        load = ["-R", str(rate), "--pipeline", str(PIPELINE), *options] if rate else ["--pipeline", "4"]
        with server:
            status, stderr = run_to_end(
                [str(program("loadgen", "echo-load")), "--engine", engine, "-c", str(connections), *load,
                 "-d", f"{duration_s}s", "--warmup", "0", "--busy-poll", "--cpus", placement.client_cpus,
                 "--json", str(file), server.address], duration_s + END_S)
        if status != 0:
            raise Failure(f"schedule {schedule}: echo-load ended with status {status}: {stderr.strip()}")
        if server.stopped is None:
            raise Failure(f"schedule {schedule}: echo-scheduled-server did not report what its requests took: "
                          f"{server.end()}")
        if server.stopped["not_logged"]:
            raise Failure(f"schedule {schedule}: {server.stopped['not_logged']:,} requests are not in the server's "
                          "log: use a shorter --duration")
        [cell] = read_json(file, "echo-load")["cells"]
        seen = json.loads(answer([str(program("loadgen", "echo-observe")), str(log), str(file)])) if rate else {}
    return cell, server.stopped, seen


def read(schedule: str, duration_s: float, placement: Placement, engine: str, rate: int,
         connections: int = CONNECTIONS, options: Sequence[str] = ()) -> Reading:
    """Of a new server of that schedule under an open loop.  Raises Failure."""
    cell, stopped, seen = measure(schedule, duration_s, placement, engine, rate, connections, options)
    if stopped["requests"] != cell["requests_total"]:
        raise Failure(f"schedule {schedule}: the client received {cell['requests_total']:,} of {stopped['requests']:,} "
                      "replies")
    response, delay = (histogram.decode(cell["histograms"][kind]) for kind in ("response", "send_delay"))
    return Reading({percent: stopped["took_ns"][f"p{percent:g}"] for percent in PERCENTS},
                   {percent: response.at(percent) for percent in PERCENTS}, cell["verdict"], cell["requests_total"],
                   {**{percent: delay.at(percent) for percent in PERCENTS}, "max": cell["send_delay_ns"]["max"]},
                   {**{percent: seen["delay_ns"][f"p{percent:g}"] for percent in PERCENTS},
                    "max": seen["delay_ns"]["max"]},
                   (seen["stamps_shared"] + seen["stamps_absent"]) / seen["requests"])


def run(options: Namespace, console: Console) -> int:
    """Measures, prints the tables and what they come to; the exit status, 0.  Raises Failure."""
    placement = place(read_topology())
    duration_s, rounds = options.duration or DURATION_S, options.rounds or ROUNDS
    capacity = measure("none", CAPACITY_S, placement, "auto")[0]["throughput_per_s"]
    console.print(f"server on CPU {placement.server_cpus}, client, which never sleeps, on CPU {placement.client_cpus}; "
                  f"capacity {capacity:,.0f}/s; {rounds} rounds of {duration_s:g} s; each figure is the median of the "
                  "rounds, with the lowest and the highest in brackets", soft_wrap=True)
    rates = (LOW_RATE, round(capacity / 2))
    even: dict[Row, list[Reading]] = {
        (engine, schedule, rate): [] for engine in ENGINES for rate in rates for schedule in SCHEDULES}
    bursts: dict[str, list[Reading]] = {engine: [] for engine in ENGINES}
    for _ in range(rounds):
        for (engine, schedule, rate), readings in even.items():
            readings.append(read(schedule, duration_s, placement, engine, rate))
        for engine, readings in bursts.items():
            readings.append(read("none", duration_s, placement, engine, BURST_RATE, BURST_CONNECTIONS, BURST_OPTIONS))
    delays = {(engine, f"{rate:,}/s"): readings for (engine, schedule, rate), readings in even.items()
              if schedule == "constant"}
    delays |= {(engine, "bursts"): readings for engine, readings in bursts.items()}
    console.print(response_table(even))
    console.print(delay_table(delays))
    console.print(arrival_table(placement, min(duration_s, ARRIVALS_S)))
    for sentence in conclusions(even, delays):
        console.print(sentence, soft_wrap=True)
    return 0


def response_table(rows: Mapping[Row, Sequence[Reading]]) -> Table:
    """A line for each row, over its rounds."""
    shown = plain_table("Reported response time minus the truth (µs)", [
        ("engine", "left"), ("schedule", "left"), ("requests/s", "right"),
        *((f"p{percent:g}", "right") for percent in PERCENTS), ("verdict", "left")])
    for (engine, schedule, rate), readings in rows.items():
        shown.add_row(engine, schedule, f"{rate:,}", *(_off(readings, percent) for percent in PERCENTS),
                      ", ".join(sorted({reading.verdict for reading in readings})))
    return shown


def delay_table(rows: Mapping[DelayRow, Sequence[Reading]]) -> Table:
    """A line for each row, medians over its rounds."""
    names = [which if which == "max" else f"p{which:g}" for which in DELAYS]
    shown = plain_table("Send delay (µs), as the client reports it and as observed at the server", [
        ("engine", "left"), ("load", "left"),
        *((f"{name} {side}", "right") for name in names for side in ("reported", "observed"))])
    for (engine, load), readings in rows.items():
        cells: list[str] = []
        for which in DELAYS:
            mark = "" if all(reading.delay_agrees(which) for reading in readings) else " *"
            cells += [_us(median(reading.delay[which] for reading in readings)),
                      _us(median(reading.observed_delay[which] for reading in readings)) + mark]
        shown.add_row(engine, load, *cells)
    return shown


def arrival_table(placement: Placement, duration_s: float) -> Table:
    """Measures each row."""
    shown = plain_table("Gaps between requests: coefficient of variation (CV), and share below 10 µs (%)", [
        ("engine", "left"), ("arrivals", "left"), ("requests/s", "right"),
        *((f"{figure} {side}", "right") for figure in ("CV", "<10 µs") for side in ("due", "sent", "arrived"))])
    for engine in ENGINES:
        for arrivals in ARRIVALS:
            for rate in ARRIVAL_RATES:
                cell, _, seen = measure("none", duration_s, placement, engine, rate, options=("--arrivals", arrivals))
                sent, arrived = cell["arrivals_sent"], seen["arrivals"]
                variations = (sent["coefficient_of_variation_expected"], sent["coefficient_of_variation"],
                              arrived["coefficient_of_variation"])
                gaps = (sent["gaps_below_10us_expected"], sent["gaps_below_10us"], arrived["gaps_below_10us"])
                shown.add_row(engine, arrivals, f"{rate:,}", *(f"{value:.2f}" for value in variations),
                              *(f"{100 * value:.1f}" for value in gaps))
    return shown


def conclusions(even: Mapping[Row, Sequence[Reading]], delays: Mapping[DelayRow, Sequence[Reading]]) -> Iterator[str]:
    """What the tables come to, in sentences."""
    judged = [reading.is_true(percent) for readings in even.values() for reading in readings for percent in PERCENTS]
    yield (f"Response time: {sum(judged)} of {len(judged)} percentiles are within {100 * ALLOWED_SHARE:g} % and "
           f"{ALLOWED_NS / 1000:g} µs of the truth; * marks those that are not in every round.")
    for engine in ENGINES:
        readings = [reading for (of, _), row in delays.items() if of == engine for reading in row]
        judged = [reading.delay_agrees(which) for reading in readings for which in DELAYS]
        yield (f"Send delay, {engine}: {sum(judged)} of {len(judged)} figures are within {100 * DELAY_SHARE:g} % and "
               f"{DELAY_NS / 1000:g} µs of what the observer saw.")
    shared = max(reading.shared for readings in delays.values() for reading in readings)
    if shared > DELAY_SHARE / 10:
        yield (f"Up to {100 * shared:.0f} % of the requests in a run were read together with a later one: they may "
               "have arrived earlier than the observer says.")


def _off(readings: Sequence[Reading], percent: float) -> str:
    mark = "" if all(reading.is_true(percent) for reading in readings) else " *"
    us = sorted(reading.off(percent) / 1000 for reading in readings)
    return f"{median(us):.1f} [{us[0]:.1f} {us[-1]:.1f}]" + mark


def _us(time_ns: float) -> str:
    return f"{time_ns / 1000:,.1f}"
