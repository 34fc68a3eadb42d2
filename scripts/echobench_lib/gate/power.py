"""echobench power: how large a change the timed tier finds on this host.  Servers of two builds of one revision, and
controls of the base that burn a known share more for each request, are judged as a head is, many times; two rules in
common use judge them, too."""

import statistics
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from scipy import stats

from .. import Failure, Usage, doctor, documents, result
from ..analyse.recovery import burnt_ns_per_request
from ..analyse.summary import cost_of, is_sound, summarise
from ..documents import Json
from ..report import charts
from ..report.columns import Heading
from ..report.terminal import plain_table
from ..result.model import Host
from ..units import format_connections
from . import builds, timed
from .builds import Build
from .judgement import REGRESSED, UNCHANGED, Verdict

FILE_NAME, ROUNDS = "power.json", "rounds"
SCHEMA_VERSION = 2
U_TEST, THRESHOLD = 0.05, 1.25
OURS = "echobench gate"
RULES = {OURS: "as a gate of this one cell: two rounds, interleaved slices, restarts as units",
         "U test": f"compare.py of Google Benchmark: Mann-Whitney, p < {U_TEST}, restarts as repetitions, of the same "
                   "two rounds",
         "U test, earlier base": "the same, against the base's figures of the try before, as a stored result would be",
         "threshold 25 %": "the median of the restarts against the median of the base's, of the same two rounds"}


@dataclass(frozen=True)
class Try:
    """One server judged once.  `slow_down` is what it really burnt more, by what the base cost then; `flagged` by rule,
    None where a rule had nothing to go by."""

    side: str
    slow_down: float
    verdict: Verdict
    figure: str
    flagged: dict[str, bool | None]


@dataclass(frozen=True)
class Power:
    """A result.  `asked` {side: the share of its cost that it is to burn more, 0 of one that costs the same}."""

    variant: str
    connections: int
    load: str
    budget_s: float
    margin: float
    cost_ns: float
    asked: dict[str, float]
    tries: list[Try]
    host: Host = Host()
    commit: str | None = None
    made_at: str | None = None

    @property
    def about(self) -> tuple[str | None, str | None, str | None]:
        """Where it comes from: commit, CPU, time."""
        return self.commit, self.host.cpu, self.made_at

    @property
    def slow_downs(self) -> list[float]:
        """The shares that were asked for, each once."""
        return sorted(set(self.asked.values()))

    def tries_of(self, slow_down: float) -> list[Try]:
        return [attempt for attempt in self.tries if self.asked[attempt.side] == slow_down]


@dataclass(frozen=True)
class Share:
    """How many `tries` with a slow-down (asked for, and `really` burnt, the median) a rule flagged.  `low` and `high`:
    Clopper and Pearson's interval at 95 %.  It takes tries as independent: several servers of one try share their base,
    and are not quite."""

    rule: str
    slow_down: float
    really: float
    flagged: int
    tries: int
    low: float
    high: float


def run(options: Namespace, console: Console) -> int:
    """The verb; its exit status."""
    folder = documents.new_folder(options.out, "power", FILE_NAME, ROUNDS)
    charts.install()  # before an hour is spent on measuring
    base, again = builds.build([options.base, options.base], console)
    study = Study(base, again, builds.load_generator([base, again], console), options, console, folder / ROUNDS)
    tries: list[Try] = []
    for number in range(options.tries):
        tries += study.attempt(number)
        document = study.as_json(tries)
        documents.write(document, folder / FILE_NAME)
        outcomes = "; ".join(f"{attempt.side} {attempt.verdict} ({attempt.figure})"
                             for attempt in tries[-len(study.sides):])
        console.print(f"{number + 1} of {options.tries}: {outcomes}", soft_wrap=True)
    power = from_json(document)
    show(power, console)
    origin = charts.origin(*power.about)
    charts.draw([{"name": "power", "spec": chart(power), "origin": origin}], folder / "charts")
    console.print(f"{folder}: {FILE_NAME}, charts/power.svg", soft_wrap=True)
    return 0


def load(path: str | Path) -> Json:
    """The document of a result file, or of a folder that has one.  Raises Usage when there is none, or it is
    another."""
    file = documents.locate(path, FILE_NAME)
    document = documents.read(file, "result-power")
    if not isinstance(document, dict) or document.get("kind") != "power":
        raise Usage(f"{file}: not a result of `echobench power`")
    documents.require_version(document, SCHEMA_VERSION, file)
    return document


def from_json(document: Json) -> Power:
    return result.build(Power, document)


class Study:
    """Drives the rounds of one cell, and judges them."""

    def __init__(self, base: Build, again: Build, driver: Build, options: Namespace, console: Console,
                 folder: Path) -> None:
        self._base, self._again, self._driver = base, again, driver
        self._options, self._console, self._folder = options, console, folder
        self._cell = timed.Cell(options.variant, options.connections, options.load)
        self._margins = {**timed.MARGINS, timed.CPU: options.margin}
        self._costs_before: list[float] = []
        self._rate_per_s: float | None = None
        self._same = [f"same-{number + 1}" for number in range(options.same)]
        self._burns: dict[str, float] = {}  # {what a side burns: the same as a share of the cost}
        pilot = self._drive("pilot", 0, 0)
        self._cost_ns = self._cost_of_base(pilot)
        self._rate_per_s = timed.rate_of(pilot)
        self._burns = {f"{100 * share:g}%": share for share in options.slow_downs}  # of the cost in each round anew

    @property
    def sides(self) -> list[str]:
        return [*self._same, *map(_control, self._burns)]

    def attempt(self, number: int) -> list[Try]:
        """A Try for each side.  Both rounds are driven of all, so that every rule has the same to go by; the gate's own
        decision takes the second only where it would have asked for it."""
        rounds = [self._drive(f"try-{number + 1}-{which + 1}", which, number + 1) for which in (0, 1)]
        base = _costs(rounds, "base")
        tries = [self._judge(side, rounds, base) for side in self.sides]
        self._costs_before = base
        return tries

    def _judge(self, side: str, rounds: Sequence[result.Result], base: Sequence[float]) -> Try:
        first, second = (timed.read(stored, [self._cell], side) for stored in rounds)
        needed = [first, second] if timed.needs_second(first, self._margins) else [first]
        [judged] = timed.verdicts({self._cell: needed}, self._margins)
        costs = _costs(rounds, side)
        flagged = {OURS: judged.verdict == REGRESSED, "U test": _u_test(base, costs),
                   "U test, earlier base": _u_test(self._costs_before, costs),
                   "threshold 25 %": _beyond_threshold(base, costs)}
        slow_down = _burnt(rounds, side) / statistics.median(base) if base else 0
        return Try(side, slow_down, judged.verdict, judged.figures.get(timed.CPU, "; ".join(judged.why)), flagged)

    def as_json(self, tries: Iterable[Try]) -> Json:
        asked = self._options
        return {"schema_version": SCHEMA_VERSION, "kind": "power", "commit": self._base.commit,
                "variant": asked.variant, "connections": asked.connections, "load": asked.load,
                "budget_s": asked.budget, "margin": asked.margin, "seed": asked.seed, "cost_ns": round(self._cost_ns),
                "host": {"cpu": doctor.cpu_model()},
                "asked": {**dict.fromkeys(self._same, 0),
                          **{_control(burn): share for burn, share in self._burns.items()}},
                "made_at": documents.now(), "tries": [asdict(attempt) for attempt in tries]}

    def _drive(self, name: str, number: int, attempt: int) -> result.Result:
        """The round of that `number` of an attempt, with seeds of its own; of the pilot, which is no attempt, without
        sides."""
        sides = [{"name": side, "variant": self._options.variant, "build": str(build.folder)}
                 for side, build in (("base", self._base), *((side, self._again) for side in self._same if attempt))]
        burns = [timed.BURN, *self._burns]
        loads = timed.loads_of(self._options.connections, [self._options.load], self._rate_per_s)
        document = timed.experiment_of(f"power of the gate, {name}", sides, burns, loads, self._options.budget, number,
                                       self._options.seed + 1000 * attempt)
        return timed.drive(document, name, self._again, self._driver, self._console, self._folder / name)

    def _cost_of_base(self, pilot: result.Result) -> float:
        load = timed.LOADS[self._options.load]["load"]
        row = next((group.row("base") for group in summarise(pilot, "base") if group.workload.load == load), None)
        if row is None or not row.cost_ns:
            why = row.reasons[:1] if row else [run.error for run in pilot.runs if run.error is not None][:1]
            raise Failure(f"{self._options.variant}, {self._options.load}: what a request costs could not be measured: "
                          f"{'; '.join(why)}")
        return row.cost_ns


def _control(burn: str) -> str:
    """The name of the base's control that burns that."""
    return f"base+{burn}"


def _costs(rounds: Iterable[result.Result], side: str) -> list[float]:
    """Of each sound restart of all rounds, ns."""
    return [cost for stored in rounds for cell in stored.cells
            if cell.variant == side and is_sound(cell) and (cost := cost_of(cell)) is not None]


def _burnt(rounds: Sequence[result.Result], side: str) -> float:
    """What a control burnt for a request more than the base, ns; 0 of what is no control."""
    control, base = ([value for stored in rounds for cell in stored.cells if cell.variant == name
                      and (value := burnt_ns_per_request(cell)) is not None] for name in (side, "base"))
    return statistics.median(control) - statistics.median(base) if "+" in side and control and base else 0


def _u_test(before: Sequence[float], after: Sequence[float]) -> bool | None:
    """Whether it flags a higher cost; None without figures of both."""
    if not before or not after:
        return None
    is_higher = statistics.median(after) > statistics.median(before)
    return bool(stats.mannwhitneyu(before, after).pvalue < U_TEST and is_higher)


def _beyond_threshold(before: Sequence[float], after: Sequence[float]) -> bool | None:
    return statistics.median(after) > THRESHOLD * statistics.median(before) if before and after else None


def shares(power: Power) -> list[Share]:
    """Over all tries, of each slow-down and each rule that had something to go by."""
    found = []
    for slow_down in power.slow_downs:
        tries = power.tries_of(slow_down)
        for rule in RULES:
            known = [flagged for attempt in tries if (flagged := attempt.flagged.get(rule)) is not None]
            if known:
                interval = stats.binomtest(sum(known), len(known)).proportion_ci()
                really = statistics.median(attempt.slow_down for attempt in tries)
                found.append(Share(rule, slow_down, really, sum(known), len(known), interval.low, interval.high))
    return found


def unchanged(power: Power) -> dict[float, int]:
    """{slow-down: how many tries `gate` found unchanged}"""
    return {slow_down: sum(attempt.verdict == UNCHANGED for attempt in power.tries_of(slow_down))
            for slow_down in power.slow_downs}


def title(power: Power) -> str:
    return (f"{power.variant}, {format_connections(power.connections)}, {power.load}: {power.cost_ns / 1000:.2f} µs "
            f"a request, budget {power.budget_s:g} s a cell, margin {100 * power.margin:g} %")


def show(power: Power, console: Console) -> None:
    """Prints the shares as a table, and below it what each rule is."""
    flagged, kept = shares(power), unchanged(power)
    columns: list[Heading] = [("costs more by", "right"), ("measured", "right"), *((rule, "right") for rule in RULES),
                              ("unchanged", "right")]
    table = plain_table(None, columns)
    for slow_down in kept:
        of = [share for share in flagged if share.slow_down == slow_down]
        texts = {share.rule: f"{share.flagged} of {share.tries}" for share in of}
        table.add_row(f"{100 * slow_down:g} %" if slow_down else "nothing", f"{100 * of[0].really:.2f} %",
                      *(texts.get(rule, "") for rule in RULES), str(kept[slow_down]))
    console.print(f"Tries flagged as costing more: {title(power)}", style="bold", soft_wrap=True)
    console.print(table)
    for rule, what in RULES.items():
        console.print(f"{rule}: {what}", style="dim", soft_wrap=True)


def chart(power: Power) -> Json:
    """The spec of the chart."""
    spec = charts.complete("power", [{**asdict(share), "share": share.flagged / share.tries,
                                      "text": f"{share.flagged} of {share.tries}", "percent": 100 * share.slow_down}
                                     for share in shares(power)])
    spec["title"]["subtitle"] = [title(power), *spec["title"]["subtitle"]]
    return spec
