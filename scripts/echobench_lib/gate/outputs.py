"""What a gate has found, for a terminal, a pull request, and CI systems."""

from xml.etree import ElementTree

from ..report.columns import ABSENT
from ..report.terminal import plain_table
from .judgement import BROKE, IMPROVED, MISSING, NEW, REGRESSED, UNCHANGED, UNDECIDED, UNMEASURED, by_weight, counts

FAILURES = (BROKE, MISSING, REGRESSED)
STYLES = {BROKE: "red", MISSING: "red", REGRESSED: "red", UNMEASURED: "yellow", UNDECIDED: "yellow", IMPROVED: "green"}
FIGURE = "instructions"


def show(title, judgements, console):
    """A table of all cells, those that changed first; below it, why."""
    console.print(title, style="bold", soft_wrap=True, markup=False)
    table = plain_table(None, (("variant", "left"), ("connections", "right"), (f"{FIGURE}: base", "right"), ("head", "right"),
                                ("verdict", "left")))
    for each in by_weight(judgements):
        style = STYLES.get(each.found)
        table.add_row(each.variant, f"{each.connections:,}", *each.figures.get(FIGURE, (ABSENT, ABSENT)),
                      f"[{style}]{each.found}[/]" if style else each.found)
    console.print(table)
    for each in by_weight(judgements):
        for why in each.why:
            console.print(f"{each.cell}: {each.found}: {why}", soft_wrap=True, markup=False)
    console.print(counts(judgements), soft_wrap=True)


def markdown(title, judgements):
    """What changed on top, all else folded away."""
    changed = [each for each in by_weight(judgements) if each.found != UNCHANGED]
    lines = [f"### {title}", "", f"**{counts(judgements)}**", ""]
    if changed:
        lines += ["| variant | connections | verdict | why |", "|---|--:|---|---|"]
        lines += [f"| `{each.variant}` | {each.connections:,} | {each.found} | {_cell('; '.join(each.why))} |" for each in changed]
        lines.append("")
    lines += ["<details><summary>every cell</summary>", "", f"| variant | connections | {FIGURE}: base | head | verdict |",
              "|---|--:|--:|--:|---|"]
    lines += [f"| `{each.variant}` | {each.connections:,} | {' | '.join(each.figures.get(FIGURE, (ABSENT, ABSENT)))} | {each.found} |"
              for each in judgements]
    return "\n".join([*lines, "", "</details>", ""])


def _cell(text):
    """Text that stays within its cell."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def junit(judgements):
    """A test case for each cell: failures are failures, what could not be judged is skipped."""
    failures = [each for each in judgements if each.found in FAILURES]
    skipped = [each for each in judgements if each.found in (UNMEASURED, UNDECIDED)]
    suite = ElementTree.Element("testsuite", name="echobench gate", tests=str(len(judgements)), failures=str(len(failures)),
                                skipped=str(len(skipped)), errors="0")
    for each in judgements:
        case = ElementTree.SubElement(suite, "testcase", classname=f"gate.{each.tier}", name=each.cell)
        if each in failures or each in skipped:
            ElementTree.SubElement(case, "failure" if each in failures else "skipped",
                                   message=f"{each.found}: {'; '.join(each.why)}")
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def annotations(judgements):
    """GitHub's workflow commands: one for each cell that fails, or cannot be judged."""
    for each in by_weight(judgements):
        if each.found in FAILURES + (UNMEASURED, UNDECIDED):
            level = "error" if each.found in FAILURES else "warning"
            yield f"::{level} title=echobench: {_property(each.cell)}::{_data(f'{each.found}: ' + '; '.join(each.why))}"
    for each in judgements:
        if each.found in (IMPROVED, NEW):
            yield f"::notice title=echobench: {_property(each.cell)}::{_data(': '.join([each.found, '; '.join(each.why)]))}"


def _data(text):
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text):
    return _data(text).replace(":", "%3A").replace(",", "%2C")
