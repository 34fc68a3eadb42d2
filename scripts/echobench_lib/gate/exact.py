"""The exact tier: what a request costs in instructions, system calls and allocations, of both revisions.  Nothing is
timed: it needs no quiet host, and gives the same result each time."""

import time
from argparse import Namespace
from collections.abc import Mapping, Sequence

from .. import Failure, Usage
from ..count import verb as counting
from ..count.changes import Change, change_text
from ..count.document import FIGURES, Counts, counts_of
from ..count.drive import SeveralProcesses
from ..count.measure import Measurement, Plan
from ..count.report import figure_text
from ..progress import Progress
from .builds import FOLDER, Build, ask
from .judgement import (BROKE, IMPROVED, LEFT_OUT, MISSING, NEW, REGRESSED, UNCHANGED, UNDECIDED, UNMEASURED, Judgement,
                        Verdict)

TIER = "exact"
SHOWN = ("instructions", "system_calls", "allocations", "allocated_bytes")


def judge(base: Build, head: Build, asked: Namespace, progress: Progress) -> list[Judgement]:
    """A Judgement for each cell of two builds.  `asked` has `variants` (empty: all), `connections`, `margin`,
    `repeats`."""
    listed = ask(base, head, lambda build: {entry["name"]: entry["unavailable_reason"]
                                            for entry in build.list_variants()})
    known = listed[base] | listed[head]
    if unknown := [name for name in asked.variants if name not in known]:
        raise Usage(f"no variant '{unknown[0]}' in either revision: there are {', '.join(known)}")
    plans = {build: _plan(build, [name for name in names if name in asked.variants or not asked.variants], asked)
             for build, names in listed.items()}
    sides, uncounted = _count(plans, progress)
    keys = dict.fromkeys(key for build in (base, head) for key in sides[build])
    absent = {name: reason for name, reason in known.items() if name in (asked.variants or known)
              and all(names.get(name, reason) for names in listed.values())}
    one_sided = {variant for variant, _ in keys if variant in uncounted}
    return [Judgement(TIER, name, None, UNMEASURED if name in one_sided or asked.variants else LEFT_OUT, [reason])
            for name, reason in (absent | uncounted).items() if reason] + [
        _judge(*key, sides[base].get(key), sides[head].get(key), asked.margin) for key in keys
        if key[0] not in one_sided]


def _plan(build: Build, names: Sequence[str], asked: Namespace) -> Plan | None:
    """What this revision can be asked for; None where it is nothing."""
    if not names:
        return None
    with build.in_use():
        try:
            return counting.plan(Namespace(names=names, connections=asked.connections, framing=None, payload=None,
                                           repeats=asked.repeats))
        except Usage:  # none of them is available here
            return None


def _count(plans: Mapping[Build, Plan | None],
           progress: Progress) -> tuple[dict[Build, dict[tuple[str, int], Counts | str]], dict[str, str]]:
    """{build: {(variant, connections): what was counted, or a sentence that says why there is nothing}}; and {variant:
    why it is not counted}."""
    known = {build: plan for build, plan in plans.items() if plan}
    steps = [(build, cell) for build, plan in known.items() for cell in plan.cells]
    counted: dict[Build, dict[tuple[str, int], Counts | str]] = {build: {} for build in plans}
    measurements: dict[Build, Measurement] = {}
    uncounted: dict[str, str] = {}
    begun = time.monotonic()
    for done, (build, cell) in enumerate(steps):
        spent = time.monotonic() - begun
        progress(done, steps, spent / done * (len(steps) - done) if done else 5.0 * len(steps))
        with build.in_use():
            if build not in measurements:
                measurements[build] = Measurement(known[build], [], None)
            try:
                counted[build][cell.variant, cell.connections] = counts_of(measurements[build].measure(cell))
            except SeveralProcesses as several:
                uncounted[cell.variant] = str(several)
            except Failure as failure:
                counted[build][cell.variant, cell.connections] = str(failure)
    _require_one_toolchain(measurements)
    return counted, uncounted


def _require_one_toolchain(measurements: Mapping[Build, Measurement]) -> None:
    builds = {build: measurement.document["tool"].get("build") for build, measurement in measurements.items()}
    compilers = {build: facts.get("compiler") for build, facts in builds.items() if facts}
    if len(set(compilers.values())) > 1:
        named = ", ".join(f"{build.label} by {name}" for build, name in compilers.items())
        raise Failure(f"the revisions were not built with one toolchain: {named}; remove {FOLDER} and try again")


def _judge(variant: str, connections: int, before: Counts | str | None, after: Counts | str | None,
           margin: float) -> Judgement:
    def judged(verdict: Verdict, why: Sequence[str] = (), figures: dict[str, str] | None = None) -> Judgement:
        return Judgement(TIER, variant, connections, verdict, list(why), figures or {})

    if isinstance(before, str) and isinstance(after, str):
        return judged(UNMEASURED, [f"both failed: {after}"])
    if isinstance(after, str):
        return judged(BROKE, [after])
    if after is None:
        return judged(MISSING, ["the head does not serve it"])
    if before is None:
        return judged(NEW)
    if isinstance(before, str):
        return judged(UNMEASURED, [f"the base failed: {before}"])
    change = Change(variant, connections, (before, after))
    figures = {FIGURES[name]: " → ".join(dict.fromkeys(figure_text(figure) for figure in change.pair(name)))
               for name in SHOWN}
    if rises := change.rises(margin):
        grew = change.grew()
        return judged(REGRESSED, rises + ([f"grew most: {grew}"] if grew else []), figures)
    if undecided := change.undecided():
        refused = {**before.refused, **after.refused}
        return judged(UNDECIDED, undecided + [f"{tool}: {why}" for tool, why in refused.items()], figures)
    if change.back().rises(margin):
        return judged(IMPROVED, _changes(change), figures)
    return judged(UNCHANGED, [], figures)


def _changes(change: Change) -> list[str]:
    return [f"{FIGURES[name]} {change_text(before, after)}" for name in SHOWN
            for before, after in [change.pair(name)] if before and after and before.per_request != after.per_request]
