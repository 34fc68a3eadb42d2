"""echobench power: how large a change the timed tier finds on this host.  Servers of two builds of one revision, and controls of the base that burn
a known share more for each request, are judged as a head is, many times; two rules in common use judge them, too."""

import statistics
from dataclasses import asdict, dataclass

from scipy import stats

from .. import Failure, Usage, doctor, documents
from ..analyse.recovery import burnt_ns_per_request
from ..analyse.summary import cost_of, is_sound, summarise
from ..report import charts
from ..report.terminal import plain_table
from ..units import format_connections, format_time_option
from . import builds, timed
from .judgement import REGRESSED, UNCHANGED

FILE_NAME, ROUNDS = "power.json", "rounds"
SCHEMA_VERSION = 2
U_TEST, THRESHOLD = 0.05, 1.25
OURS = "echobench gate"
RULES = {OURS: "as a gate of this one cell: two rounds, interleaved slices, restarts as units",
         "U test": f"compare.py of Google Benchmark: Mann-Whitney, p < {U_TEST}, restarts as repetitions, of the same two rounds",
         "U test, earlier base": "the same, against the base's figures of the try before, as a stored result would be",
         "threshold 25 %": "the median of the restarts against the median of the base's, of the same two rounds"}


@dataclass(frozen=True)
class Try:
    """One server judged once.  `slow_down` is what it really burnt more, by what the base cost then; `flagged` by rule, None where a rule
    had nothing to go by."""

    side: str
    slow_down: float
    verdict: str
    figure: str
    flagged: dict


def run(options, console):
    folder = documents.new_folder(options.out, "power", FILE_NAME, ROUNDS)
    charts.install()  # before an hour is spent on measuring
    base, again = builds.build([options.base, options.base], console)
    study = Study(base, again, builds.load_generator([base, again], console), options, console, folder / ROUNDS)
    tries = []
    for number in range(options.tries):
        tries += study.attempt(number)
        document = study.as_json(tries)
        documents.write(document, folder / FILE_NAME)
        outcomes = "; ".join(f"{attempt.side} {attempt.verdict} ({attempt.figure})" for attempt in tries[-len(study.sides):])
        console.print(f"{number + 1} of {options.tries}: {outcomes}", soft_wrap=True, markup=False)
    show(document, console)
    charts.draw([{"name": "power", "spec": chart(document), "origin": charts.origin(*about(document))}], folder / "charts")
    console.print(f"{folder}: {FILE_NAME}, charts/power.svg", soft_wrap=True)
    return 0


def load(path):
    """The document of a result file, or of a folder that has one."""
    file = documents.locate(path, FILE_NAME)
    document = documents.read(file, "result-power")
    if not isinstance(document, dict) or document.get("kind") != "power":
        raise Usage(f"{file}: not a result of `echobench power`")
    documents.require_version(document, SCHEMA_VERSION, file)
    return document


def about(document):
    """Where it comes from: commit, CPU, time."""
    return document.get("commit"), document.get("host", {}).get("cpu"), document.get("made_at")


class Study:
    """Drives the rounds of one cell, and judges them."""

    def __init__(self, base, again, driver, options, console, folder):
        self._base, self._again, self._driver = base, again, driver
        self._options, self._console, self._folder = options, console, folder
        self._cell = timed.Cell(options.variant, options.connections, options.load)
        self._margins = {**timed.MARGINS, timed.CPU: options.margin}
        self._costs_before, self._rate = [], None
        self._same, self._burns = [f"same-{number + 1}" for number in range(options.same)], {}  # {side: (what it burns, share of the cost)}
        pilot = self._drive("pilot", 0, 0)
        self._cost_ns = self._cost_of_base(pilot)
        self._rate = next((cell["workload"]["rate_per_s"] for cell in pilot["cells"] if "rate_per_s" in cell["workload"]), None)
        burns = {format_time_option(round(share * self._cost_ns)): share for share in options.slow_downs}
        self._burns = {f"base+{burn}": (burn, share) for burn, share in burns.items()}

    @property
    def sides(self):
        return [*self._same, *self._burns]

    def attempt(self, number):
        """A Try for each side.  Both rounds are driven of all, so that every rule has the same to go by; the gate's own decision takes
        the second only where it would have asked for it."""
        rounds = [self._drive(f"try-{number + 1}-{which + 1}", which, number + 1) for which in (0, 1)]
        base = _costs(rounds, "base")
        tries = [self._judge(side, rounds, base) for side in self.sides]
        self._costs_before = base
        return tries

    def _judge(self, side, rounds, base):
        first, second = (timed.read(document, [self._cell], side) for document in rounds)
        needed = [first, second] if timed.needs_second(first, self._margins) else [first]
        [judged] = timed.verdicts({self._cell: needed}, self._margins)
        costs = _costs(rounds, side)
        flagged = {OURS: judged.verdict == REGRESSED, "U test": _u_test(base, costs),
                   "U test, earlier base": _u_test(self._costs_before, costs), "threshold 25 %": _beyond_threshold(base, costs)}
        slow_down = _burnt(rounds, side) / statistics.median(base) if base else 0
        return Try(side, slow_down, judged.verdict, judged.figures.get(timed.CPU, "; ".join(judged.why)), flagged)

    def as_json(self, tries):
        asked = self._options
        return {"schema_version": SCHEMA_VERSION, "kind": "power", "commit": self._base.commit, "variant": asked.variant, "connections": asked.connections,
                "load": asked.load, "budget_s": asked.budget, "margin": asked.margin, "seed": asked.seed, "cost_ns": round(self._cost_ns),
                "host": {"cpu": doctor.cpu_model()},
                "asked": {**dict.fromkeys(self._same, 0), **{side: share for side, (_, share) in self._burns.items()}},
                "made_at": documents.now(), "tries": [asdict(attempt) for attempt in tries]}

    def _drive(self, name, number, attempt):
        """The round of that `number` of an attempt, with seeds of its own; of the pilot, which is no attempt, without sides."""
        sides = [{"name": side, "variant": self._options.variant, "build": str(build.folder)}
                 for side, build in (("base", self._base), *((side, self._again) for side in self._same if attempt))]
        burns = [timed.BURN, *(burn for burn, _ in self._burns.values())]
        document = timed.experiment_of(f"power of the gate, {name}", sides, burns,
                                       timed.loads_of(self._options.connections, [self._options.load], self._rate), self._options.budget,
                                       number, self._options.seed + 1000 * attempt)
        return timed.drive(document, name, self._again, self._driver, self._console, self._folder / name)

    def _cost_of_base(self, document):
        load = timed.LOADS[self._options.load]["load"]
        row = next((group.row("base") for group in summarise(document, "base") if group.workload.load == load), None)
        if row is None or not row.cost_ns:
            why = row.reasons[:1] if row else [run["error"] for run in document["runs"] if "error" in run][:1]
            raise Failure(f"{self._options.variant}, {self._options.load}: what a request costs could not be measured: {'; '.join(why)}")
        return row.cost_ns


def _costs(rounds, side):
    """Of each sound restart of all rounds, ns."""
    return [cost for document in rounds for cell in document["cells"]
            if cell["variant"] == side and is_sound(cell) and (cost := cost_of(cell)) is not None]


def _burnt(rounds, side):
    """What a control burnt for a request more than the base, ns; 0 of what is no control."""
    burnt = {name: [value for document in rounds for cell in document["cells"] if cell["variant"] == name
                    and (value := burnt_ns_per_request(cell)) is not None] for name in ("base", side)}
    return statistics.median(burnt[side]) - statistics.median(burnt["base"]) if "+" in side and all(burnt.values()) else 0


def _u_test(before, after):
    """Whether it flags a higher cost; None without figures of both."""
    if not before or not after:
        return None
    return bool(stats.mannwhitneyu(before, after).pvalue < U_TEST and statistics.median(after) > statistics.median(before))


def _beyond_threshold(before, after):
    return statistics.median(after) > THRESHOLD * statistics.median(before) if before and after else None


def shares(document):
    """[{rule, slow_down (asked for), really (burnt, median), flagged, tries, low, high}] over all tries: Clopper and Pearson's interval
    at 95 %.  It takes them as independent: several servers of one try share their base, and are not quite."""
    result = []
    for slow_down in sorted(set(document["asked"].values())):
        tries = [attempt for attempt in document["tries"] if document["asked"][attempt["side"]] == slow_down]
        for rule in RULES:
            known = [attempt["flagged"][rule] for attempt in tries if attempt["flagged"].get(rule) is not None]
            if known:
                interval = stats.binomtest(sum(known), len(known)).proportion_ci()
                result.append({"rule": rule, "slow_down": slow_down, "really": statistics.median(attempt["slow_down"] for attempt in tries), "flagged": sum(known), "tries": len(known),
                              "low": interval.low, "high": interval.high})
    return result


def unchanged(document):
    """{slow-down: how many tries `gate` found unchanged}"""
    return {slow_down: sum(attempt["verdict"] == UNCHANGED for attempt in document["tries"] if document["asked"][attempt["side"]] == slow_down)
            for slow_down in sorted(set(document["asked"].values()))}


def title(document):
    return (f"{document['variant']}, {format_connections(document['connections'])}, {document['load']}: {document['cost_ns'] / 1000:.2f} µs "
            f"a request, budget {document['budget_s']:g} s a cell, margin {100 * document['margin']:g} %")


def show(document, console):
    flagged, kept = shares(document), unchanged(document)
    table = plain_table(None, [("costs more by", "right"), ("measured", "right"), *((rule, "right") for rule in RULES), ("unchanged", "right")])
    for slow_down in kept:
        texts = {share["rule"]: f"{share['flagged']} of {share['tries']}" for share in flagged if share["slow_down"] == slow_down}
        really = next(share["really"] for share in flagged if share["slow_down"] == slow_down)
        table.add_row(f"{100 * slow_down:g} %" if slow_down else "nothing", f"{100 * really:.2f} %", *(texts.get(rule, "") for rule in RULES), str(kept[slow_down]))
    console.print(f"Tries flagged as costing more: {title(document)}", style="bold", soft_wrap=True)
    console.print(table)
    for rule, what in RULES.items():
        console.print(f"{rule}: {what}", style="dim", soft_wrap=True)


def chart(document):
    """The spec of the chart."""
    spec = charts.complete("power", [{**share, "share": share["flagged"] / share["tries"], "text": f"{share['flagged']} of {share['tries']}",
                                      "percent": 100 * share["slow_down"]} for share in shares(document)])
    spec["title"]["subtitle"] = [title(document), *spec["title"]["subtitle"]]
    return spec
