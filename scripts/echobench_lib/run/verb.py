"""What `echobench run` is asked for."""

import sys
import time

from .. import Failure, Usage, documents, result
from ..plan import experiment
from ..plan.placement import place
from ..plan.topology import read_topology
from ..progress import Progress
from ..report import charts, companions, page, terminal
from ..units import NS_PER_S, format_seconds, parse_share, parse_time_ns
from .programs import list_variants
from .runner import Runner
from .until import Until


def run(options, console):
    name, document = experiment.load_document(options.experiment)
    document.update({key: value for key in ("until", "budget") if (value := getattr(options, key))})
    if "until" in document and "budget" not in document:
        raise Usage(f"{name}: --until {document['until']} needs to know how long it may take: --budget 10min, or \"budget\" in the experiment")
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
    of = "" if until else "of {block.restarts}"
    begun = time.monotonic()
    try:
        with Progress(console, lambda restart, block: f"{block.name}  restart {restart + 1} {of.format(block=block)}") as progress:
            measuring.run(progress, until)
    finally:
        file = folder / result.FILE_NAME
        console.print(f"measured in {format_seconds(time.monotonic() - begun)} (min:s): {file}" if file.exists() else
                      "stopped before the first block was finished: there is no result", soft_wrap=True)
    console.print()
    for run in measuring.failures:
        print(f"echobench: {run['block']}, restart {run['restart'] + 1}: {run['error']}", file=sys.stderr)
    for run in measuring.remarks:
        print(f"echobench: {run['block']}, restart {run['restart'] + 1}: {run['remark']}", file=sys.stderr)
    for warning in measuring.warnings:
        print(f"echobench: warning: {warning}", file=sys.stderr)
    stored = result.load(folder)
    if not stored["cells"]:
        raise Failure(f"experiment {name}: nothing could be measured; the lines above say why")
    groups = terminal.show(stored, expanded.reference, console)
    if not options.no_report:
        console.print(f"\nreport: {page.write(stored, groups, folder, companions.load(file))}", soft_wrap=True)
    return 1 if measuring.failures or measuring.remarks else 0


def _until(expanded, measuring):
    """The Until that the experiment asks for; None if it has a number of restarts."""
    document = expanded.document
    if "until" not in document:
        return None
    return Until(expanded, parse_share(document["until"]), parse_time_ns(document["budget"]) / NS_PER_S, measuring.estimate_s)
