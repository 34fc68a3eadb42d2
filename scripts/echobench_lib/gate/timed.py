"""The timed tier: servers of both revisions, and the control of the base, driven in turn by one load generator, slice
by slice; with new processes in each restart.  Each round is an experiment, whose result is kept."""

import re
from argparse import Namespace
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from .. import result
from ..analyse import connections
from ..analyse.statistics import of_rounds
from ..analyse.summary import (COST, cell_log_ratios, comparable, log_ratios, reasons_of, slice_cost, summarise,
                               verdict_of)
from ..documents import Json
from ..plan import experiment
from ..plan.placement import place
from ..plan.topology import read_topology
from ..plan.variants import HOLDS
from ..progress import Progress
from ..run.runner import Runner
from .builds import Build, ask
from .decide import Figure, confirmed
from .judgement import (BROKE, IMPROVED, LEFT_OUT, MISSING, NEW, REGRESSED, UNCHANGED, UNDECIDED, UNMEASURED, Judgement,
                        Verdict)

TIER = "timed"
RESTART_S = 2.6      # of a cell: starting three servers, warming up, measuring, stopping
LEAST_RESTARTS = 4   # of a round
FIRST = 1 / 3        # of the budget: the first round only screens
SEEDS = 1_000_000    # from those of one round to those of the next
BURN = "20%"
CONTROL = f"base+{BURN}"
STOLEN_LIMIT = 0.05  # of one CPU's time, by the hypervisor
LEAST_GROWTH = 1 << 20  # bytes of a server's memory by its connections: of less, pages are too large a part
# Within a restart slices scatter several times as much as restarts do, with heavy tails where the hypervisor takes the
# CPU for a while: several short ones, of which the middle half counts.  From 6 slices at equal load and from 10 at
# saturation on, half as many restarts of twice as many slices are as precise (within 15 %); more restarts are safer,
# because on other hosts it is these that scatter.
LOADS: dict[str, Json] = {  # as an experiment has them
    "equal-load": {"load": "equal-load", "rounds": 6, "slice": "100ms"},
    "saturation": {"load": "saturation", "rounds": 15, "duration": "500ms"}}
SHARE = "50%"  # of the lowest capacity, at equal load
WRONG = ("wrong-replies", "errors")

CPU, MEMORY = COST, "memory per connection"
MARGINS = {"p50": 0.05, "p99": 0.25, "p99.9": 0.5, MEMORY: 0.05}  # of CPU: what is asked for
ADVISORY = ("p99.9",)
RISES = ("p50", "p99", MEMORY)  # a confirmed rise counts; an inconclusive one leaves the cell's verdict to its CPU

Refusal = tuple[Verdict, str]  # what was found of a cell that has no figures, and why
Figures = dict[str, Figure]    # by name


@dataclass(frozen=True)
class Cell:
    """What is judged; `load` is one of LOADS."""

    variant: str
    connections: int
    load: str


@dataclass
class Round:
    """What came of one experiment: `values` {Cell: {figure: log ratios, one for each restart}}, `refusals`, and the
    `rate_per_s` that was SHARE of the lowest capacity."""

    result: result.Result
    values: dict[Cell, dict[str, list[float]]]
    refusals: dict[Cell, Refusal]
    rate_per_s: float | None


def judge(base: Build, head: Build, driver: Build, asked: Namespace, console: Console,
          folder: Path) -> list[Judgement]:
    """A Judgement for each cell.  The Build `driver` has the load generator; `asked` has `variants` and `timed`
    (connections), `budget` (seconds a cell)."""
    listed = ask(base, head, lambda build: {entry["name"]: entry for entry in build.list_variants()
                                            if not entry["unavailable_reason"]})
    available = listed[base] | listed[head]
    names = [name for name in dict.fromkeys(asked.variants or available) if name in available]  # else: the exact tier
    margins = {**MARGINS, CPU: asked.margin}
    judgements: list[Judgement] = []
    firsts: dict[tuple[str, int], Round] = {}
    for variant in names:
        for clients in asked.timed:
            if variant not in listed[base] or variant not in listed[head]:
                alone: Verdict = MISSING if variant in listed[base] else NEW
                judgements += [Judgement(TIER, variant, clients, alone, [], {}, load) for load in LOADS]
            elif listed[base][variant]["holds"] == "any":
                firsts[variant, clients] = measure(base, head, driver, variant, clients, 0, asked, console, folder)
            else:
                why = (f"it serves {HOLDS[listed[base][variant]['holds']]}, and the timed tier needs a model that "
                       "serves any number")
                judgements.append(Judgement(TIER, variant, clients, UNMEASURED if asked.variants else LEFT_OUT, [why]))
    seconds = {key: measure(base, head, driver, *key, 1, asked, console, folder, first.rate_per_s)
               for key, first in firsts.items() if needs_second(first, margins)}
    return judgements + verdicts({cell: [first, *([seconds[key]] if key in seconds else [])]
                                  for key, first in firsts.items() for cell in cells_of(*key)}, margins)


def verdicts(measured: Mapping[Cell, Sequence[Round]], margins: Mapping[str, float]) -> list[Judgement]:
    """A Judgement for each cell of {Cell: its rounds}, of all together: what regressed is decided over all of them."""
    figures = {cell: figures_of(cell, rounds, margins) for cell, rounds in measured.items()}
    sure = confirmed({(cell, name): figure for cell, of in figures.items() for name, figure in of.items()})
    return [_judge(cell, rounds, figures[cell], {name for of, name in sure if of == cell})
            for cell, rounds in measured.items()]


def cells_of(variant: str, clients: int) -> list[Cell]:
    return [Cell(variant, clients, load) for load in LOADS]


def needs_second(first: Round, margins: Mapping[str, float]) -> bool:
    """Whether anything was left open, or is to be confirmed; what could not be measured may be, a little later."""
    if first.refusals:
        return not any(verdict == BROKE for verdict, _ in first.refusals.values())
    return any(CPU not in figures or any(figure.is_open for figure in figures.values())
               for cell in first.values for figures in [figures_of(cell, [first], margins)])


def figures_of(cell: Cell, rounds: Iterable[Round], margins: Mapping[str, float]) -> Figures:
    """By those of its rounds that have any."""
    known = [a_round for a_round in rounds if cell in a_round.values]
    if not known:
        return {}
    doubt = _doubt(cell, [a_round.result for a_round in known])
    names = dict.fromkeys(name for a_round in known for name, values in a_round.values[cell].items() if values)
    return {name: Figure(name, margins[name], tuple(a_round.values[cell].get(name, []) for a_round in known),
                         name in ADVISORY, name in RISES, doubt if name == CPU else "") for name in names}


def _doubt(cell: Cell, results: Sequence[result.Result]) -> str:
    """Why CPU per request is not to be used there, by the controls of all rounds; empty if it is."""
    cells = [replace(measured, restart=1000 * number + measured.restart,
                     workload=replace(measured.workload, rate=SHARE))
             for number, stored in enumerate(results) for measured in stored.cells
             if measured.load == LOADS[cell.load]["load"] and measured.variant in ("base", CONTROL)]
    [group] = summarise(replace(results[0], cells=cells), "base")
    return group.doubt(COST)


def measure(base: Build, head: Build, driver: Build, variant: str, clients: int, number: int, asked: Namespace,
            console: Console, folder: Path, rate_per_s: float | None = None) -> Round:
    """One round of a variant with that many clients, under all loads."""
    sides = [{"name": name, "variant": variant, "build": str(build.folder)}
             for name, build in (("base", base), ("head", head))]
    document = experiment_of(f"{head.label} against {base.label}", sides, [BURN], loads_of(clients, LOADS, rate_per_s),
                             asked.budget, number, asked.seed)
    place_of = folder / TIER / f"{variant}-{clients}" / f"round-{number + 1}"
    stored = drive(document, f"{variant}, round {number + 1}", head, driver, console, place_of)
    return read(stored, cells_of(variant, clients))


def loads_of(clients: int, names: Iterable[str], rate_per_s: float | None = None) -> list[Json]:
    """An experiment's loads, at the rate of the round before if there was one."""
    return [{**LOADS[name], "connections": [clients],
             **({"rates": [rate_per_s or SHARE]} if name == "equal-load" else {})} for name in names]


def experiment_of(summary: str, sides: Sequence[Json], burns: Sequence[str], loads: Sequence[Json], budget_s: float,
                  number: int, seed: int) -> Json:
    """The round of that `number`, 0 or 1: `sides` are an experiment's variants, the first of them called `base`."""
    share = FIRST if number == 0 else 1 - FIRST
    restarts = max(LEAST_RESTARTS, round(budget_s * share / RESTART_S))
    document = {"summary": summary, "reference": "base", "burns": burns, "restarts": restarts, "warmup": "100ms",
                "seed": SEEDS * number + seed, "variants": sides, "loads": loads}
    return experiment.completed(document, "the gate's experiment")


def drive(document: Json, title: str, head: Build, driver: Build, console: Console, folder: Path) -> result.Result:
    """The result of an experiment, which is kept in a new `folder`; the Build `head` knows its variants."""
    placement = place(read_topology(), **document["placement"])
    folder.mkdir(parents=True)
    expanded = experiment.expand(f"gate: {title}", document, head.list_variants(), placement)
    with driver.in_use():
        runner = Runner("gate", expanded, placement, folder)
        with Progress(console, lambda restart, block: f"{title}: {block.name}, restart {restart + 1}") as progress:
            runner.run(progress)
    return result.from_json(runner.document)


def read(stored: result.Result, cells: Iterable[Cell], head: str = "head") -> Round:
    """A Round from a result: what `head` costs relative to `base`."""
    values: dict[Cell, dict[str, list[float]]] = {}
    refusals: dict[Cell, Refusal] = {}
    for cell in cells:
        load = LOADS[cell.load]["load"]
        every = [measured for measured in stored.cells if measured.load == load]
        judged_cells = [measured for measured in every if measured.variant in ("base", CONTROL, head)]
        if refusal := _refusal(judged_cells, stored.runs, load, head) or _stolen(every):
            refusals[cell] = refusal
            continue
        judged_cells = comparable(judged_cells)
        costs = log_ratios(judged_cells, head, "base", slice_cost)
        values[cell] = {CPU: [of_rounds(rounds) for rounds in costs.values()]}
        if cell.load == "equal-load":
            for name in ("p50", "p99", "p99.9"):
                values[cell][name] = _per_restart(judged_cells, head, _percentile(name))
        else:
            rises = _per_restart(judged_cells, head, _memory)
            values[cell][MEMORY] = rises if any(rises) else []  # none: both are smaller than the noise
    return Round(stored, values, refusals, rate_of(stored))


def rate_of(stored: result.Result) -> float | None:
    """Requests per second to each target at equal load; None without one."""
    return next((cell.rate_per_s for cell in stored.cells if cell.rate_per_s is not None), None)


def _refusal(cells: Sequence[result.Cell], runs: Iterable[result.Run], load: str, head: str) -> Refusal | None:
    """Of a cell that has no figures; None of one that has."""
    wrong = [(cell.variant, "; ".join(cell.reasons + cell.checks)) for cell in cells
             if cell.verdict in WRONG or any("died" in check for check in cell.checks)]
    messages = [text for run in runs if run.block.startswith(f"{load}/") and (text := run.error or run.remark)]
    if any(name == head for name, _ in wrong):
        return BROKE, next(why for name, why in wrong if name == head)
    if wrong:
        return UNMEASURED, f"{wrong[0][0]}: {wrong[0][1]}"
    if messages:
        blamed = next((text for text in messages if cells and re.search(rf"(^|; ){re.escape(head)}\b", text)), None)
        return (BROKE, blamed) if blamed else (UNMEASURED, messages[0])
    if not cells:
        return UNMEASURED, "nothing was measured"
    by_variant: dict[str, list[result.Cell]] = {}
    for cell in cells:
        by_variant.setdefault(cell.variant, []).append(cell)
    kept = {cell.variant for cell in comparable(cells)}
    if bad := next((name for name in by_variant if name not in kept), None):
        return UNMEASURED, f"{bad} is {verdict_of(by_variant[bad])}: {'; '.join(reasons_of(by_variant[bad]))}"
    return None


def _stolen(cells: Sequence[result.Cell]) -> Refusal | None:
    """The same where the hypervisor took too much, of all that were driven in turn."""
    by_restart: dict[int, int] = {}
    for cell in cells:
        by_restart[cell.restart] = max(by_restart.get(cell.restart, 0), cell.system.steal_ns)
    stolen = sum(by_restart.values())
    spent = sum(piece.elapsed_ns for cell in cells for piece in cell.slices)
    if stolen > STOLEN_LIMIT * spent:
        return UNMEASURED, f"the hypervisor took {100 * stolen / spent:.0f} % of a CPU (steal)"
    return None


def _per_restart(cells: Iterable[result.Cell], head: str,
                 figure_of: Callable[[result.Cell], float | None]) -> list[float]:
    return list(cell_log_ratios(cells, head, "base", figure_of).values())


def _percentile(name: str) -> Callable[[result.Cell], float | None]:
    return lambda cell: cell.response_ns.get(name)


def _memory(cell: result.Cell) -> float | None:
    """Resident: of the base's program two processes run, of the head's one, and a page is shared by those who run
    it."""
    grown = connections.resident(cell)
    return None if grown is None else max(grown, LEAST_GROWTH / connections.held(cell))


def _judge(cell: Cell, rounds: Sequence[Round], figures: Figures, sure: Container[str]) -> Judgement:
    """By the names of the figures that regressed for `sure`."""
    def judged(verdict: Verdict, why: list[str]) -> Judgement:
        return Judgement(TIER, cell.variant, cell.connections, verdict, why,
                         {name: figure.text for name, figure in figures.items()}, cell.load)

    refusals = [a_round.refusals[cell] for a_round in rounds if cell in a_round.refusals]
    for verdict, why in sorted(refusals, key=lambda refusal: refusal[0] != BROKE):
        if verdict == BROKE or len(refusals) == len(rounds):
            return judged(verdict, [why])
    gating = {name: figure for name, figure in figures.items() if not figure.advisory}
    by_figure = {name: figure.verdict(name in sure) for name, figure in gating.items()}
    if CPU not in by_figure and REGRESSED not in by_figure.values():
        return judged(UNMEASURED, ["CPU per request is missing on one of the sides"])
    order: tuple[Verdict, ...] = (REGRESSED, UNMEASURED, UNDECIDED, IMPROVED)
    for worst in order:
        if names := [name for name, verdict in by_figure.items() if verdict == worst]:
            return judged(worst, [gating[name].why(worst) for name in names])
    return judged(UNCHANGED, [])
