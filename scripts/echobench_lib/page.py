"""The report as one HTML file that needs no network: styles, data and libraries are in it."""

import html
import json

from . import charts, tables

VERDICTS = {
    "valid": "Nothing speaks against the figures of this row.",
    "client-bound": "The load generator was the bottleneck (closed loop: its CPU was busy while the server's was not; "
                    "open loop: sends fell behind schedule). Throughput is a lower bound, printed with ≥, and is not "
                    "ranked. CPU per request stays true: it is measured on the server.",
    "starved": "Some connection got no reply, or replies were spread unevenly (Jain index below 0.9): the mean hides "
               "that some clients were not served.",
    "errors": "Connections failed, timed out or were cut; figures describe only what was answered.",
    "wrong-replies": "A reply was not byte for byte what was sent. A wrong answer yields no figure.",
}

_STYLE = """
:root { --ink:#1b1f24; --soft:#57606a; --line:#d8dee4; --faint:#f6f8fa; }
* { box-sizing:border-box }
body { margin:0; font:15px/1.55 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif; color:var(--ink); background:#fff }
main { max-width:1120px; margin:0 auto; padding:32px 24px 64px }
h1 { font-size:28px; line-height:1.2; margin:0 0 6px } h2 { font-size:20px; margin:44px 0 12px; padding-top:12px; border-top:1px solid var(--line) }
h3 { font-size:15px; margin:26px 0 6px } p { margin:8px 0; max-width:80ch } .soft { color:var(--soft) }
nav { margin:14px 0 0; display:flex; gap:18px; flex-wrap:wrap } a { color:#0969da; text-decoration:none } a:hover { text-decoration:underline }
.scroll { overflow-x:auto } table { border-collapse:collapse; font-size:13.5px; font-variant-numeric:tabular-nums; width:100% }
th { text-align:left; font-weight:600; color:var(--soft); border-bottom:1px solid var(--line); padding:5px 10px 5px 0; white-space:nowrap }
td { border-bottom:1px solid #eef1f4; padding:5px 10px 5px 0; white-space:nowrap } .right { text-align:right }
tr.reference td { background:var(--faint) } .swatch { display:inline-block; width:10px; height:10px; border-radius:3px; margin-right:8px }
.valid { color:#1a7f37 } .client-bound,.unavailable { color:#9a6700 } .starved,.errors,.wrong-replies,.wrong { color:#cf222e; font-weight:600 }
.chart { margin:18px 0 30px; overflow-x:auto } .chart svg { max-width:none } .vega-embed { width:auto }
dl { display:grid; grid-template-columns:max-content 1fr; gap:3px 20px; margin:8px 0; font-size:13.5px } dt { color:var(--soft) } dd { margin:0; overflow-wrap:anywhere }
pre { background:var(--faint); padding:12px 14px; overflow-x:auto; font-size:12.5px; border-radius:6px } ul { padding-left:20px; max-width:90ch } li { margin:3px 0 }
details summary { cursor:pointer; color:#0969da; font-size:13.5px } .warn { background:#fff8c5; border:1px solid #eac54f; border-radius:6px; padding:8px 12px }
#vg-tooltip-element { font-family:inherit }
"""

_SCRIPT = """
const charts = JSON.parse(document.getElementById('charts').textContent);
for (const {name, spec} of charts) {
  vegaEmbed('#chart-' + name, spec, {renderer: 'svg', actions: {export: true, source: false, compiled: false, editor: false}})
    .catch(error => console.error(name, error));
}
"""


def render(document, groups, drawn, specs, libraries):
    """The page.  `drawn` maps a chart's name to its SVG: shown until, or instead of, the interactive one."""
    palette = charts.colours(dict.fromkeys(row.variant for group in groups for row in group.rows))
    experiment = document.get("experiment", {})
    name = experiment.get("name", "echo-load")
    parts = [f"<h1>echobench: {escape(name)}</h1>", f'<p class="soft">{escape(_subtitle(document))}</p>', nav(_NAV)]
    if document.get("complete") is False:
        parts.append('<p class="warn">This run was not finished: it holds the cells that were measured until then.</p>')
    failed = [run for run in document.get("runs", []) if "error" in run]
    if failed:
        parts.append('<div class="warn">Runs without a result:<ul>' + "".join(
            f"<li>{escape(run['block'])}, restart {run['restart'] + 1}: {escape(run['error'])}</li>" for run in failed)
            + "</ul></div>")
    parts += ['<h2 id="charts-part">Charts</h2>',
              *(chart(name, svg) for name, svg in drawn.items()),
              '<h2 id="tables">Tables</h2>', *(_table(group, palette) for group in groups),
              "<ul class=soft>" + "".join(f"<li>{escape(note)}</li>" for note in tables.notes(groups, document)) + "</ul>",
              '<h2 id="verdicts">Verdicts that are not valid, and why</h2>', _doubts(groups),
              '<h2 id="reading">How to read this</h2>', _reading(),
              '<h2 id="host">Where and how it was measured</h2>', _host(document)]
    return whole(f"echobench: {name}", parts, specs, libraries)


def whole(title, parts, specs, libraries):
    """A page of these parts, with all that its charts need."""
    inlined = "\n".join(f"<script>{_script(text)}</script>" for text in libraries)
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
            + "\n".join(parts)
            + f'\n</main>\n<script type="application/json" id="charts">{_json(specs)}</script>\n'
            + f"{inlined}\n<script>{_SCRIPT}</script>\n</body></html>\n")


_NAV = {"charts-part": "Charts", "tables": "Tables", "verdicts": "Verdicts", "reading": "How to read",
        "host": "Host and commands"}


def escape(value):
    return html.escape(str(value))


def nav(links):
    """Links to the headings of a page: {id: text}."""
    return "<nav>" + "".join(f'<a href="#{where}">{escape(text)}</a>' for where, text in links.items()) + "</nav>"


def chart(name, svg):
    """The place of a chart: its SVG is shown until, or instead of, the interactive one."""
    return f'<div class="chart" id="chart-{name}">{svg}</div>'


def table(columns, rows):
    """`columns` are (name, class) pairs; `rows` are (class, cells) pairs whose cells are HTML, with a class of their own
    where they are a pair."""
    def cells(row):
        pairs = (cell if isinstance(cell, tuple) else (cell, name) for cell, (_, name) in zip(row, columns))
        return "".join(f'<td class="{name}">{cell}</td>' for cell, name in pairs)
    head = "".join(f'<th class="{name}">{escape(text)}</th>' for text, name in columns)
    body = "".join(f'<tr class="{name}">{cells(row)}</tr>' for name, row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(values):
    """What is known, as a list of names and values; what is not known is left out."""
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(_plain(value))}</dd>" for key, value in values.items()
                   if value not in ("", None, {}, []))
    return f"<dl>{rows}</dl>"


def _script(text):
    """JavaScript that cannot end the script element it stands in: the word can only be in a string there."""
    return text.replace("</script", "<\\/script")


def _json(value):
    """JSON that cannot either."""
    return json.dumps(value).replace("<", "\\u003c")


def _subtitle(document):
    when = document.get("started_at", "")[:16].replace("T", " ")
    host = document["host"]
    cpu = host.get("cpu", "")
    what = document.get("experiment", {}).get("summary", "")
    return " · ".join(str(part) for part in (what, when and f"{when} UTC", cpu, host.get("kernel", "")) if part)


def _table(group, palette):
    rows = []
    for row in group.rows:
        first, *middle, last = map(escape, tables.texts(row, group))
        swatch = f'<span class="swatch" style="background:{palette[row.variant]}"></span>'
        rows.append(("reference" if row.variant == group.reference else "",
                     [swatch + first, *middle, (last, row.verdict)]))
    return f"<h3>{escape(tables.title(group))}</h3>" + table(tables.COLUMNS, rows)


def _doubts(groups):
    items = []
    for group, row in tables.doubts(groups):
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in row.reasons) or "<li>no reason was recorded</li>"
        items.append(f'<details><summary>{escape(row.variant)}, {escape(tables.title(group))}: '
                     f'<span class="{row.verdict}">{row.verdict}</span></summary><ul>{reasons}</ul></details>')
    return "".join(items) or "<p>Every row is valid.</p>"


def _reading():
    verdicts = "".join(f'<dt class="{name}">{name}</dt><dd>{escape(meaning)}</dd>' for name, meaning in VERDICTS.items())
    return ("<p><b>Server CPU per request</b> is the headline: it stays true when the client is the bottleneck, as it "
            "must be for the fastest servers where client and server have one CPU each.</p>"
            "<p><b>Ratios</b> come from runs in which all targets are driven in turn, slice by slice, so that drift of "
            "the machine hits all alike: the 10 % trimmed mean of the log ratios paired by round, one figure per "
            "restart; the 95 % interval is over restarts. An interval that holds 1 means: not told apart here.</p>"
            "<p><b>Latency</b> in open loop counts from the moment when the request should have been sent, so that a "
            "server that stalls cannot hide it; in closed loop and for connect-request-close it is the service time, "
            "which flatters a slow server. Every reply was compared byte for byte.</p>"
            f"<p>The verdict of a row is the worst of its restarts:</p><dl>{verdicts}</dl>")


def _host(document):
    parts = []
    for title, key in (("Host", "host"), ("Placement", "placement"), ("Built from", "tool")):
        if document.get(key):
            parts.append(f"<h3>{title}</h3>{facts(document[key])}")
    if "experiment" in document:
        settings = {key: value for key, value in document["experiment"].items() if key != "summary"}
        parts.append(f"<details><summary>The experiment</summary><pre>{escape(json.dumps(settings, indent=1))}</pre></details>")
    commands = [" ".join(run["argv"]) for run in document.get("runs", []) if run["argv"]] or [" ".join(document["argv"])]
    servers = dict.fromkeys(" ".join(cell["server"]["command"]) for cell in document["cells"]
                            if "command" in cell.get("server", {}))
    parts.append("<details><summary>Commands</summary><pre>" + escape("\n".join([*servers, *commands])) + "</pre></details>")
    return "".join(parts)


def _plain(value):
    """A fact as short text."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
