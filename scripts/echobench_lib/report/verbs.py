"""What `echobench report` and `echobench compare` are asked for."""

from argparse import Namespace

from rich.console import Console

from .. import Usage, documents, result
from ..analyse import compare
from ..analyse.summary import COST, TIME
from ..run.programs import models_of_this_build
from . import companions, comparison, page, terminal


def report(options: Namespace, console: Console) -> int:
    """`echobench report`; its exit status."""
    file = documents.locate(options.result, result.FILE_NAME)
    if options.lean and file.suffix == ".html" and not options.out:
        raise Usage("--lean would coarsen the histograms of the only copy of the result; give another folder by --out")
    stored = result.described(result.load(file), models_of_this_build)
    if options.lean:
        stored = result.lean(stored)
    reference = result.reference_of(stored, options.reference)
    if not reference:
        raise Usage(f"{file}: it has no cells, because nothing was measured")
    groups = terminal.show(stored, reference, console)
    if not options.no_page:
        folder = options.out or documents.folder_of_report(file, result.FILE_NAME)
        attached = companions.load(file)
        path = page.write(stored, groups, folder, companions.lean(attached) if options.lean else attached)
        console.print(f"\nreport: {path}", soft_wrap=True)
    return 0


def compare_two(options: Namespace, console: Console) -> int:
    """`echobench compare`; its exit status."""
    first, second = result.load(options.a), result.load(options.b)
    reason = compare.why_not_comparable(first, second, options.across_hosts)
    if reason:
        console.print(f"not comparable: {reason}", soft_wrap=True)
        return 2
    changes = compare.compare(first, second)
    comparison.show(changes, console)
    if not changes.lines:
        console.print("not comparable: the results have nothing in common but the reference", soft_wrap=True)
        return 2
    if options.fail_over is None:
        return 0
    regressions = changes.regressions(options.fail_over)
    for text in regressions:
        console.print(f"regression: {text}", style="red", soft_wrap=True)
    for (figure, reason), lines in changes.unjudged.items():
        console.print(f"{figure} not judged in {lines} of {len(changes.lines)} cells: {reason}", soft_wrap=True)
    undecided = changes.undecided
    for text in undecided:
        console.print(f"undecided: {text}", soft_wrap=True)
    if undecided:
        console.print("an interval needs several restarts in both files")
    for what, texts in (("missing", changes.missing), ("not comparable", changes.skipped)):
        if texts:
            console.print(f"undecided: {len(texts)} cells are {what}; they are named above")
    if regressions:
        return 1
    if undecided or changes.missing or changes.skipped:
        return 2
    wanted = {figure for line in changes.lines for figure in (COST, TIME)
              if figure in compare.figures_of(line.workload)}
    if not any(changes.judged(figure) for figure in wanted or (compare.LATENCY,)):
        console.print(f"undecided: {' and '.join(sorted(wanted)) or 'no figure'} could not be judged in any cell",
                      soft_wrap=True)
        return 2
    judged = (COST, TIME, *((compare.LATENCY,) if changes.judged(compare.LATENCY) else ()))
    console.print(f"no figure is shown to be worse by more than {100 * options.fail_over:g} % relative to "
                  f"{changes.reference}: "
                  + ", ".join(f"{figure} judged in {changes.judged(figure)} cells" for figure in judged),
                  soft_wrap=True)
    return 0
