"""What `echobench run` is asked for."""

import sys
import time
from argparse import Namespace

from rich.console import Console

from .. import Failure, Usage, documents, result
from ..plan import experiment
from ..plan.blocks import Block
from ..plan.placement import place
from ..plan.topology import read_topology
from ..progress import Progress
from ..report import charts, companions, page, terminal
from ..units import NS_PER_S, format_seconds, parse_share, parse_time_ns
from .programs import list_variants
from .runner import Runner
from .until import Until


def run(options: Namespace, console: Console) -> int:
    """The verb; its exit status."""
    name, document = experiment.load_document(options.experiment)
    document.update({key: value for key in ("until", "budget") if (value := getattr(options, key))})
    if "until" in document and "budget" not in document:
        raise Usage(f"{name}: --until {document['until']} needs to know how long it may take: --budget 10min, or "
                    "\"budget\" in the experiment")
    placement = place(read_topology(), **document["placement"])
    expanded = experiment.expand(name, document, list_variants(), placement)
    folder = documents.new_folder(options.out, name, result.FILE_NAME)
    if not options.no_report:
        documents.require_no_report(folder)
        charts.install()  # before minutes are spent on measuring
    measuring = Runner(name, expanded, placement, folder)
    until = _until(expanded, measuring)
    pairs = until.first() if until else expanded.order()
    console.print(f"{name}: {document['summary']}")
    console.print(f"{len(expanded.variants)} variants, {len(expanded.blocks)} blocks, {len(pairs)} runs with new "
                  f"servers each; about {format_seconds(measuring.estimate_s(pairs))} (min:s)"
                  + (f", and more until ± {document['until']} or {document['budget']}" if until else ""))
    console.print(f"servers on CPU {placement.server_cpus}, client on CPU {placement.client_cpus}")
    for warning in placement.warnings:
        print(f"echobench: warning: {warning}", file=sys.stderr)
    if "budget" in document and measuring.estimate_s(pairs) > parse_time_ns(document["budget"]) / NS_PER_S:
        console.print(f"that is more than the experiment's budget of {document['budget']}")
    for variant, reason in expanded.unavailable.items():
        console.print(f"{variant} cannot run here: {reason}")

    def describe(restart: int, block: Block) -> str:
        of = "" if until else f"of {block.restarts}" if restart < block.restarts else "instead of one that is left out"
        return f"{block.name}  restart {restart + 1} {of}"
    begun = time.monotonic()
    try:
        with Progress(console, describe) as progress:
            measuring.run(progress, until)
    finally:
        file = folder / result.FILE_NAME
        console.print(f"measured in {format_seconds(time.monotonic() - begun)} (min:s): {file}" if file.exists() else
                      "stopped before the first block was finished: there is no result", soft_wrap=True)
    console.print()
    stored = result.load(folder)
    errors = [(run, run.error) for run in stored.runs if run.error is not None]
    remarks = [(run, run.remark) for run in stored.runs if run.remark is not None]
    for measured, why in errors + remarks:
        print(f"echobench: {measured.block}, restart {measured.restart + 1}: {why}", file=sys.stderr)
    for warning in dict.fromkeys(run.warning for run in stored.runs if run.warning is not None):
        print(f"echobench: warning: {warning}", file=sys.stderr)
    if not stored.cells:
        raise Failure(f"experiment {name}: nothing could be measured; the lines above say why")
    groups = terminal.show(stored, expanded.reference, console)
    if not options.no_report:
        console.print(f"\nreport: {page.write(stored, groups, folder, companions.load(file))}", soft_wrap=True)
    return 1 if errors or remarks else 0


def _until(expanded: experiment.Experiment, measuring: Runner) -> Until | None:
    """The Until that the experiment asks for; None if it has a number of restarts."""
    document = expanded.document
    if "until" not in document:
        return None
    budget_s = parse_time_ns(document["budget"]) / NS_PER_S
    return Until(expanded, parse_share(document["until"]), budget_s, measuring.estimate_s)
