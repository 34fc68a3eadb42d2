"""The command line: verbs, options, exit statuses."""

import argparse
import contextlib
import os
import re
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console
from rich.text import Text

from . import Failure, Usage, accuracy, count, doctor, failure_of, gate, micro, model_table
from .gate import power, primitives, timed
from .gate import verb as gating
from .gate.judgement import NOT_MEASURABLE
from .plan import experiment
from .plan.variants import HOLDS, other_runtimes, unmet
from .report import explain, exports, verify
from .report import verbs as reporting
from .report.terminal import WIDTH
from .run import verb as running
from .run.programs import list_variants
from .units import parse_count, parse_time_ns

INTERRUPTED = 130


class ReaderMayLeave:
    """A stream to a program that may end before this one, as in `gate | head -1`: what it would have read then goes
    nowhere, and the work goes on.  Raises OSError, once, if the stream cannot be written for another reason."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._until_it_ends():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._until_it_ends():
            self._stream.flush()

    @contextlib.contextmanager
    def _until_it_ends(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if not isinstance(error, BrokenPipeError):
                raise OSError(error.errno, error.strerror, self._stream.name) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for; the exit status."""
    stdout, stderr = (cast(TextIO, ReaderMayLeave(stream)) for stream in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        options = parser().parse_args(arguments)
        # Texts are what servers and files say, and no markup.
        console = Console(highlight=False, markup=False, emoji=False)
        console.width = max(console.width, WIDTH)  # a table that wraps is ugly, one that is cut is useless
        for stop in (signal.SIGTERM, signal.SIGHUP):  # servers are stopped on the way out
            if signal.getsignal(stop) != signal.SIG_IGN:  # by nohup
                signal.signal(stop, lambda *_: sys.exit(INTERRUPTED))
        try:
            status: int = options.verb(options, console)
            sys.stdout.flush()
            return status
        except (Failure, OSError) as error:
            failure = failure_of(error)
            print(f"echobench: {failure}", file=sys.stderr)
            return options.failed(options) if failure.exit_status == Failure.exit_status else failure.exit_status
        except KeyboardInterrupt:
            print("echobench: interrupted", file=sys.stderr)
            return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    text = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="echobench", formatter_class=text, description="Measures concurrency models under the same load, and "
        "reports which figures can be trusted.", epilog="exit status: 0 ok, 1 failed or a regression, 2 usage "
        "(compare, gate: also a missing cell or nothing compared), 130 interrupted; gate and micro have more, which "
        "their --help lists\n"
        "environment: ECHOBENCH_BUILD, the build folder that is measured (default: build/release)")
    verbs = top.add_subparsers(title="verbs", required=True, metavar="VERB")

    def failed(options: Namespace) -> int:
        """Where 1 is a regression, it is nothing else."""
        return Usage.exit_status if getattr(options, "fail_over", None) is not None else Failure.exit_status

    def verb(name: str, function: Callable[[Namespace, Console], int], **keywords: Any) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, formatter_class=text, description=keywords["help"], **keywords)
        added.set_defaults(verb=function, failed=failed)
        return added

    run = verb("run", running.run, help="measure an experiment, print its tables, write its report",
               epilog="exit status: 0 every cell was measured, 1 some were not or a reply was "
               "wrong, 2 usage, 130 interrupted")
    run.add_argument("experiment", metavar="EXPERIMENT",
                     help="a name from `echobench list`, or the path of a JSON file")
    run.add_argument("--out", type=Path, metavar="DIR", help="folder for result.json, charts/ and index.html; must not "
                     "hold a result yet (default: runs/<time>-<experiment>/)")
    run.add_argument("--until", type=percent, metavar="PERCENT", help="add restarts until the 95 %% interval of each "
                     "ratio of costs, the control's too, is as narrow as this up and down, e.g. 2%% (default: the "
                     "experiment's, or its number of restarts)")
    run.add_argument("--budget", type=duration, metavar="TIME", help="how long measuring may take, e.g. 10min: --until "
                     "ends then (default: the experiment's)")
    run.add_argument("--no-report", action="store_true",
                     help="measure and print only: no charts, no page (default: off)")

    show = verb("report", reporting.report, help="print a result's tables and write its charts and page",
                epilog="exit status: 0 written, 1 could not be, 2 usage")
    show.add_argument("result", metavar="RESULT", type=Path,
                      help="a result file, of echobench or of `echo-load --json`, a folder with result.json, or a "
                           "report, which holds one")
    why = verb("explain", explain.explain, help="say why each model costs more, or less, than the reference: what it "
               "was seen to do, and what was counted",
               epilog="exit status: 0 ok, 1 failed, 2 usage")
    why.add_argument("result", metavar="RESULT", type=Path, help="as for report; a count.json next to it is used")
    why.add_argument("--reference", metavar="NAME", help="what the others are compared with (default: as for report)")

    show.add_argument("--reference", metavar="NAME", help="the variant that ratios refer to (default: the "
                      "experiment's, else epoll, else the first)")
    show.add_argument("--out", type=Path, metavar="DIR", help="folder for charts/ and index.html (default: for a "
                      "folder or its result.json that folder; otherwise <file name>-report/ next to the file)")
    show.add_argument("--lean", action="store_true", help="a page to be published, a quarter as large: histograms to "
                      "two significant digits, charts drawn by its script only (default: off)")
    show.add_argument("--no-page", action="store_true", help="print the tables only (default: off)")

    against = verb("compare", reporting.compare_two, help="compare two results, by each cell's ratio to the reference "
                   "of the same file", epilog="exit status: 0 ok, 1 a regression beyond --fail-over, 2 nothing could "
                   "be compared, or, with --fail-over, a cell is missing, or has no "
                   "interval to be judged by")
    against.add_argument("a", metavar="A", type=Path, help="the result before: a file or a folder")
    against.add_argument("b", metavar="B", type=Path, help="the result after")
    against.add_argument("--across-hosts", action="store_true", help="compare ratios even if CPU, kernel or "
                         "mitigations differ, on which they may depend (default: off)")
    against.add_argument("--fail-over", type=percentage, metavar="PERCENT", help="fail when CPU per request or p50 at "
                         "equal load rose, or throughput fell, by more than this at the bound of its 95 %% interval "
                         "that is nearest to no change, e.g. 10%% (default: never fail)")

    small = verb("micro", micro.run, help="measure what the primitives under the models cost, or report it again",
                 epilog="exit status: 0 ok, 1 failed, 2 usage, 4 a row gave a wrong answer, 130 interrupted (complete "
                 "rounds are kept)")
    small.add_argument("--rounds", type=whole_number, metavar="N", help="how often each row is measured, every time in "
                       f"a new process (default: {micro.ROUNDS}, or as many as {micro.BUDGET_S // 60} minutes hold)")
    small.add_argument("--min-time", type=positive_seconds, metavar="SECONDS", help="how long a row runs at least, "
                       f"each time (default: {micro.MIN_TIME_S})")
    small.add_argument("--filter", metavar="REGEX", help="only rows that match, e.g. '^BM_Switch_'; "
                       "--filter=-REGEX: only the others (default: all rows)")
    small.add_argument("--seed", type=whole_number, metavar="N", help="of the order of processes in each round "
                       "(default: a random one, which is printed)")
    small.add_argument("--out", type=Path, metavar="DIR", help="folder for micro.json, charts/ and index.html; must "
                       "not hold a result yet (default: runs/<time>-micro/; with --from: next to the result)")
    small.add_argument("--no-report", action="store_true", help="no charts, no page (default: off)")
    small.add_argument("--readme", action="store_true", help="write bench/README.md, too (default: off)")
    small.add_argument("--from", type=Path, metavar="A", dest="source", help="measure nothing: take this result, a "
                       "file or a folder; also from plain `echo-microbench --benchmark_out` (default: measure)")
    small.add_argument("--against", type=Path, metavar="B", help="with --from A: only print which rows of B are within "
                       f"{100 * micro.LIMIT:g} %% of A's, by their ratios to the floor, and which are not (default: "
                       "off)")

    exact = verb("count", count.run, help="count what a request costs in instructions, system calls and allocations; "
                 "or print what changed between two such results", epilog="exit status: 0 ok, 1 failed, or with "
                 "--fail-over a count rose or a system call was added, 2 usage, not comparable, or with --fail-over "
                 "something cannot be judged")
    exact.add_argument("names", nargs="*", metavar="VARIANT", help="what to count (default: every variant that is "
                       "available here and can serve the clients); or A B, two results, files or folders: what changed "
                       "from A to B")
    exact.add_argument("--connections", type=whole_numbers, metavar="N[,N]", help="all of them ready at each wake-up "
                       f"(default: {','.join(map(str, count.CONNECTIONS))})")
    exact.add_argument("--framing", choices=("frame", "line", "raw"), help="protocol (default: frame)")
    exact.add_argument("--payload", type=size, metavar="BYTES", help=f"of a request (default: {count.PAYLOAD})")
    exact.add_argument("--repeats", type=whole_number, metavar="N",
                       help=f"how often to count (default: {count.REPEATS})")
    exact.add_argument("--functions", action="store_true", help="print which functions have most instructions "
                       "(default: off; they are stored anyway)")
    exact.add_argument("--out", type=Path, metavar="DIR", help="folder for count.json; must not hold one yet (default: "
                       "runs/<time>-count/)")
    exact.add_argument("--fail-over", type=percentage, metavar="PERCENT", help="with A B: fail when a count rose by "
                       "more than this, or a system call was added, e.g. 1%% (default: never fail)")

    gates = verb("gate", gating.run, help="judge a change: build two revisions, and print for each model whether a "
                 "request costs more instructions, system calls or allocations, and with --timed more time",
                 epilog="exit status: 0 pass, 1 regression, 2 broken or missing (also: nothing to compare, usage), 3 "
                 "something could not be measured, or the gate could not work here, 4 something is inconclusive (with "
                 "--strict), or everything is")
    gates.set_defaults(failed=lambda _: NOT_MEASURABLE)
    gates.add_argument("variants", nargs="*", metavar="VARIANT", help="what to judge (default: every variant)")
    gates.add_argument("--base", required=True, metavar="REV", help="the revision before the change")
    gates.add_argument("--head", default="HEAD", metavar="REV", help="the revision to judge (default: HEAD)")
    gates.add_argument("--margin", type=percentage, default=gate.MARGIN, metavar="PERCENT", help="a count that rises "
                       "by no more than this is unchanged; an added system call never is (default: "
                       f"{100 * gate.MARGIN:g}%%)")
    gates.add_argument("--connections", type=whole_numbers, default=count.CONNECTIONS, metavar="N[,N]", help="all of "
                       f"them ready at each wake-up (default: {','.join(map(str, count.CONNECTIONS))})")
    gates.add_argument("--repeats", type=whole_number, default=gate.REPEATS, metavar="N", help="how often to count "
                       f"(default: {gate.REPEATS})")
    gates.add_argument("--timed", type=whole_numbers, default=[], metavar="N[,N]", help="also the timed tier, with "
                       "this many connections: CPU per request, latency and memory, at equal load (50 %% of the "
                       "capacity) and at saturation (default: off)")
    gates.add_argument("--micro", metavar="REGEX", help="also the primitives: rows of echo-microbench that match, e.g. "
                       f"'^BM_Session_' or . for all; their margin is {100 * primitives.MARGIN:g} %% (default: off)")
    gates.add_argument("--budget", type=positive_seconds, default=gate.BUDGET_S, metavar="SECONDS", help="of a timed "
                       "cell, two thirds of it for a second round where the first leaves something open (default: "
                       f"{gate.BUDGET_S})")
    gates.add_argument("--seed", type=whole_number, default=1, metavar="N", help="of the order of slices (default: 1)")
    gates.add_argument("--strict", action="store_true", help="exit with 4 when something is inconclusive (default: "
                                                             "off)")
    gates.add_argument("--out", type=Path, metavar="DIR", help="folder for gate.json, gate.md and gate.xml; must not "
                       "hold them yet (default: runs/<time>-gate/)")

    seen = verb("power", power.run, help="how large a change the gate's timed tier finds on this host: servers that "
                "cost the same, and known slow-downs, judged many times, and by other rules too", epilog="exit status: "
                                                                                                         "0 measured, "
                                                                                                         "1 failed, 2 "
                                                                                                         "usage")
    seen.add_argument("variant", nargs="?", default="epoll", metavar="VARIANT", help="what is judged (default: epoll)")
    seen.add_argument("--base", default="HEAD", metavar="REV", help="the revision, which is built twice (default: "
                                                                    "HEAD)")
    seen.add_argument("--connections", type=whole_number, default=100, metavar="N", help="(default: 100)")
    seen.add_argument("--load", choices=timed.LOADS, default="saturation", help="(default: saturation)")
    seen.add_argument("--tries", type=whole_number, default=20, metavar="N", help="how often each is judged (default: "
                                                                                  "20)")
    seen.add_argument("--same", type=whole_number, default=1, metavar="N", help="how many servers that cost the same "
                      "are judged in each try (default: 1)")
    seen.add_argument("--slow-downs", type=percentages, default=[0.01, 0.02, 0.05, 0.1], metavar="P%[,P%]",
                      help="known slow-downs, in percent of what a request costs; none: only servers that cost the "
                      "same (default: 1%%,2%%,5%%,10%%)")
    seen.add_argument("--margin", type=percentage, default=gate.MARGIN, metavar="PERCENT", help="as for gate (default: "
                      f"{100 * gate.MARGIN:g}%%)")
    seen.add_argument("--budget", type=positive_seconds, default=gate.BUDGET_S, metavar="SECONDS", help="as for gate: "
                      f"of a cell of two servers and a control (default: {gate.BUDGET_S})")
    seen.add_argument("--seed", type=whole_number, default=1, metavar="N", help="of the order of slices (default: 1)")
    seen.add_argument("--out", type=Path, metavar="DIR", help="folder for power.json and charts/; must not hold one "
                      "yet (default: runs/<time>-power/)")

    check = verb("verify", verify.verify, help="recompute every figure of a report from the result that it holds",
                 epilog="exit status: 0 every figure follows from the result, 1 some do not, 2 usage, or no report")
    check.add_argument("report", metavar="REPORT", type=Path, help="an index.html, or a folder with one")

    out = verb("export", exports.export, help="write a result's valid figures in the format of a tool that tracks them",
               epilog="exit status: 0 written, 1 could not be, 2 usage, or it has no valid figure")
    out.add_argument("result", metavar="RESULT", type=Path, help="a result of `run` or of `count`: a file or a folder")
    out.add_argument("--as", dest="form", required=True, choices=exports.FORMATS, help="bmf: Bencher Metric Format, on "
                     "stdout; github: github-action-benchmark's customSmallerIsBetter, on stdout; otava: a row for "
                     "Apache Otava")
    out.add_argument("--append", type=Path, metavar="FILE", help="with --as otava: the CSV file that gets the row")

    true = verb("accuracy", accuracy.run, help="how far echo-load's latencies are from the truth on this host",
                epilog="A server answers each request at a time fixed in advance, and reports how long it really took: "
                + "; ".join(f"{name}, {what}" for name, what in accuracy.SCHEDULES.items()) + ".\n"
                "exit status: 0 measured, 1 failed, 2 usage")
    true.add_argument("--duration", type=positive_seconds, metavar="SECONDS", help="of each run (default: "
                      f"{accuracy.DURATION_S})")
    true.add_argument("--rounds", type=whole_number, metavar="N", help="how often each is run (default: "
                                                                       f"{accuracy.ROUNDS})")

    known = verb("list", list_all, help="list experiments, and variants with the reason if one cannot run here")
    known.add_argument("--readme", action="store_true", help="write the table of servers/README.md instead")
    host = verb("doctor", examine, help="print what on this host distorts figures, and what to do about it")
    host.add_argument("--watch", type=positive_seconds, default=1.0, metavar="SECONDS",
                      help="how long to watch the CPUs (default: 1)")
    return top


def percent(text: str) -> str:
    """As it is given, for an experiment: `2%`."""
    percentage(text)
    return text.replace(" ", "")


def duration(text: str) -> str:
    """As it is given, for an experiment: `10min`."""
    try:
        parse_time_ns(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def percentage(text: str) -> float:
    """`10%` as 0.1."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is not a percentage, for example 10%")
    return float(match[1]) / 100


def percentages(text: str) -> list[float]:
    """`1%,2%` as [0.01, 0.02]; `none` as an empty list."""
    return [] if text == "none" else [percentage(part) for part in text.split(",")]


def whole_number(text: str) -> int:
    try:
        if int(text) >= 1:
            return int(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1")


def whole_numbers(text: str) -> list[int]:
    return list(dict.fromkeys(whole_number(part) for part in text.split(",")))


def size(text: str) -> int:
    """Bytes: `64`, `64Ki`."""
    try:
        return parse_count(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive_seconds(text: str) -> float:
    try:
        if 0 < float(text) <= 600:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds from 0 to 600")


def list_all(options: Namespace, console: Console) -> int:
    """The verb `list`; its exit status."""
    if options.readme:
        console.print(f"written: {model_table.write(list_variants())}", soft_wrap=True)
        return 0
    console.print("experiments", style="bold")
    for name in experiment.names():
        try:
            summary = experiment.load_document(name)[1]["summary"]
        except Usage as error:
            summary = f"unavailable: {error}"
        console.print(f"  {name:<24}{summary}", soft_wrap=True)
    console.print("variants", style="bold")
    for entry in list_variants():
        reason = entry["unavailable_reason"]
        console.print(f"  {entry['name']:<24}{entry['summary']}; serves {HOLDS[entry['holds']]}"
                      + (f" [{entry['remark']}]" if entry.get("remark") else "")
                      + (f" [unavailable: {reason}]" if reason else ""), soft_wrap=True)
    if known := other_runtimes():
        console.print("other runtimes", style="bold")
    for entry in known.values():
        reason = unmet(entry)
        console.print(f"  {entry['name']:<24}{entry['framing']}; serves {HOLDS[entry.get('holds', 'any')]}"
                      + (f" [unavailable: {reason}]" if reason else ""), soft_wrap=True)
    return 0


def examine(options: Namespace, console: Console) -> int:
    """The verb `doctor`; its exit status."""
    findings = doctor.examine(options.watch)
    order = ("warning", "note", "ok")
    for finding in sorted(findings, key=lambda finding: order.index(finding.level)):
        style = {"warning": "red", "note": "yellow", "ok": "green"}[finding.level]
        console.print(Text.assemble((f"{finding.level:<8}", style), f"{finding.subject}: {finding.what}"),
                      soft_wrap=True)
        if finding.advice:
            console.print(f"        {finding.advice}", style="dim", soft_wrap=True)
    warnings = sum(finding.level == "warning" for finding in findings)
    console.print(f"{warnings} to fix before figures from here are published" if warnings else "nothing to fix")
    return 0
