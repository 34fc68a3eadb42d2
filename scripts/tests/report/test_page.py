"""The page as a reader uses it, in headless Chromium; and whether its figures follow from its result."""

import base64
import gzip
import json
import re
import shutil
import subprocess

import pytest
from conftest import SMALL, run_echobench, run_experiment

from echobench_lib import documents

EXPERIMENT = {**SMALL, "restarts": 2, "variants": ["asio-callback", "thread-per-connection", "epoll"],
              "controls": ["epoll"],
              "loads": [{"load": "equal-load", "connections": [100], "rates": ["50%"]},
                        {"load": "saturation", "connections": [100]},
                        {"load": "closed-loop", "connections": [100, 1000], "duration": "1s"}]}
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
in_browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a report that tests may copy, and not change."""
    return run_experiment(tmp_path_factory.mktemp("page"), EXPERIMENT)[0]


# ---- in a browser ----

def asked(folder, tmp_path, script):
    """What a script says that runs in the page once all charts are drawn; and what the browser complained about."""
    probe = """<script>
    const wrong = [];
    addEventListener('error', event => wrong.push(String(event.message)));
    console.error = (...what) => wrong.push(what.join(' '));
    </script>"""
    waiting = f"""<script>
    const answer_when_drawn = async () => {{
      if (!document.body.dataset.drawn) return setTimeout(answer_when_drawn, 50);
      let value = null;
      try {{ value = await (async () => {{ {script} }})(); }} catch (error) {{ wrong.push(String(error)); }}
      const answer = document.createElement('pre');
      answer.id = 'answer';
      answer.textContent = JSON.stringify({{value, wrong}});
      document.body.append(answer);
    }};
    answer_when_drawn();
    </script>"""
    text, end, rest = (folder / "index.html").read_text().replace("<head>", f"<head>{probe}", 1).rpartition("</body>")
    text += waiting + end + rest
    page = tmp_path / "page.html"
    page.write_text(text)
    done = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
                           f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=6000000", "--dump-dom",
                           page.as_uri()], capture_output=True, text=True, timeout=120)
    match = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.S)
    assert match, done.stderr[-2000:]
    answer = json.loads(match[1].replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))
    assert answer["wrong"] == []
    return answer["value"]


FIRST_COLUMN = "[...table.tBodies[0].rows].map(row => row.cells[0].textContent)"


@in_browser
def test_a_heading_sorts_its_table_both_ways(folder, tmp_path):
    answer = asked(folder, tmp_path, f"""
      const section = [...document.querySelectorAll('section')].find(node => /saturation/.test(node.textContent));
      const table = section.querySelector('table');
      const button = name => [...table.querySelectorAll('th button')].find(node => node.textContent === name);
      const seen = [{FIRST_COLUMN}];
      for (const name of ['CPU µs/req', 'CPU µs/req', 'variant']) {{ button(name).click(); seen.push({FIRST_COLUMN}); }}
      const sorted = [...table.querySelectorAll('th')].map(node => node.getAttribute('aria-sort')).filter(Boolean);
      return {{seen, sorted}};""")
    given, up, down, named = answer["seen"]
    assert up == ["epoll", "asio-callback", "epoll+1us", "thread-per-connection"] and down == up[::-1]
    assert named == sorted(given) and answer["sorted"] == ["ascending"]


@in_browser
def test_filters_leave_out_models_and_tables(folder, tmp_path):
    shown = "[...document.querySelectorAll('%s')].filter(node => node.checkVisibility()).map(%s)"
    rows = shown % ("tr[data-name]", "node => node.dataset.name")
    parts = shown % ("section", "node => node.dataset.connections")
    answer = asked(folder, tmp_path, f"""
      const all = [{rows}, {parts}];
      document.querySelector('[name=family][value=threads]').click();
      const select = document.querySelector('[name=connections]');
      select.value = '1000';
      select.dispatchEvent(new Event('change', {{bubbles: true}}));
      return {{all, left: [{rows}, {parts}]}};""")
    assert "thread-per-connection" in answer["all"][0] and set(answer["all"][1]) == {"100", "1000"}
    assert set(answer["left"][0]) == {"epoll", "asio-callback", "epoll+1us"} and answer["left"][1] == ["1000"]


@in_browser
def test_filters_leave_models_out_of_charts(folder, tmp_path):
    answer = asked(folder, tmp_path, """
      const marks = () => [...document.querySelectorAll('#chart-throughput .mark-symbol.role-mark path')];
      const variant = node => node.getAttribute('aria-label').match(/variant: ([^;]+)/)[1];
      const shown = () => [...new Set(marks().map(variant))].sort();
      const all = shown();
      document.querySelector('[name=family][value=threads]').click();
      await drawing;
      return {all, left: shown()};""")
    assert "thread-per-connection" in answer["all"]
    assert answer["left"] == [name for name in answer["all"] if not name.startswith("thread")]


@in_browser
@pytest.mark.parametrize("width", [390, 900])
def test_charts_fill_the_width_and_nothing_is_wider(folder, tmp_path, width):
    answer = asked(folder, tmp_path, f"""
      document.documentElement.style.width = '{width}px';
      while (!document.body.dataset.drawn || width !== main.clientWidth)
        await new Promise(done => setTimeout(done, 50));
      const right = node => node.getBoundingClientRect().right;
      const wider = [...document.querySelectorAll('main > *, section')].filter(node => right(node) > {width} + 1);
      return {{wider: wider.map(node => node.outerHTML.slice(0, 80)),
        charts: [...document.querySelectorAll('.chart')].map(node => [node.id, node.scrollWidth, node.clientWidth,
          node.querySelector('svg').getBoundingClientRect().width])}};""")
    assert answer["wider"] == []
    for name, scrolled, room, drawn in answer["charts"]:
        assert scrolled <= room + 2 and drawn > 0.85 * room, f"{name}: {drawn} of {room}"


@in_browser
def test_a_chart_speaks_to_a_keyboard_and_is_a_table_too(folder, tmp_path):
    answer = asked(folder, tmp_path, """
      const place = document.getElementById('chart-cost-by-model'), figure = place.closest('figure');
      const press = key => (document.activeElement === document.body ? place : document.activeElement).dispatchEvent(
        new KeyboardEvent('keydown', {key, bubbles: true}));
      place.focus();
      const said = [];
      for (const key of ['ArrowRight', 'ArrowRight', 'ArrowLeft', 'x']) {
        press(key);
        said.push(figure.querySelector('.said').textContent);
      }
      const table = figure.querySelector('details');
      table.open = true;
      await new Promise(done => setTimeout(done, 100));
      const link = figure.querySelector('a[download]');
      return {said, role: place.getAttribute('aria-label'), table: table.querySelector('table').innerText,
        file: await (await fetch(link.href)).text(), name: link.download};""")
    first, second, back, other = answer["said"]
    assert "variant: " in first and "variant: " in second and first != second and back == first == other
    assert answer["role"].startswith("Cost by model") and "epoll" in answer["table"] and "µs/request" in answer["table"]
    assert answer["name"] == "cost-by-model.svg" and answer["file"].startswith("<svg")
    assert "Cost by model: server CPU per request" in answer["file"]


@in_browser
def test_a_lean_page_draws_what_it_gives_as_svg(folder, tmp_path):
    assert run_echobench("report", folder, "--lean", "--out", tmp_path / "lean").returncode == 0
    assert 'id="chart-cost-by-model"><p>' in (tmp_path / "lean" / "index.html").read_text()
    answer = asked(tmp_path / "lean", tmp_path, """
      const link = document.getElementById('chart-cost-by-model').closest('figure').querySelector('a[download]');
      link.click();
      while (!link.href.startsWith('blob:')) await new Promise(done => setTimeout(done, 50));
      return {file: await (await fetch(link.href)).text(), name: link.download,
        drawn: !!document.querySelector('#chart-cost-by-model svg')};""")
    assert answer["name"] == "cost-by-model.svg" and answer["drawn"]
    texts = [re.findall(r"<t(?:ext|span)[^>]*>([^<]*)", svg)
             for svg in (answer["file"], (tmp_path / "lean" / "charts" / "cost-by-model.svg").read_text())]
    assert texts[0] == texts[1]
    assert any("commit fake" in text for text in texts[0]), "with its title and where it is from"


@in_browser
def test_a_tooltip_shows_the_figures_of_a_mark(folder, tmp_path):
    answer = asked(folder, tmp_path, """
      const mark = document.querySelector('#chart-cost-by-model .mark-rect.role-mark path');
      const at = mark.getBoundingClientRect();
      for (const type of ['pointerover', 'mouseover', 'pointermove', 'mousemove'])
        mark.dispatchEvent(new PointerEvent(type, {bubbles: true, clientX: at.x + 3, clientY: at.y + 3}));
      await new Promise(done => setTimeout(done, 300));
      const tip = document.getElementById('vg-tooltip-element');
      return tip && tip.classList.contains('visible') ? tip.innerText : '';""")
    assert "variant" in answer and "µs/request" in answer, answer


def test_what_must_not_be_relied_on_is_hatched_and_labelled(folder):
    text = (folder / "index.html").read_text()
    bound = next(row for row in re.findall(r"<tr .*?</tr>", text, re.S) if ">client-bound" in row)
    assert bound.count(' doubt"') >= 3
    valid = next(row for row in re.findall(r"<tr .*?</tr>", text, re.S) if 'class="valid"' in row)
    assert ' doubt"' not in valid


def test_a_folder_may_be_named_from_where_one_stands(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_echobench("report", folder, "--out", "here")
    assert done.returncode == 0 and (tmp_path / "here" / "charts" / "cost-by-model.svg").exists(), done.stderr


# ---- verify ----

def copied(folder, tmp_path, change=lambda text: text):
    shutil.copytree(folder, tmp_path / "copy")
    page = tmp_path / "copy" / "index.html"
    page.write_text(change(page.read_text()))
    return page


def test_the_figures_of_a_report_follow_from_its_result(folder, tmp_path):
    done = run_echobench("verify", copied(folder, tmp_path))
    assert done.returncode == 0 and "every figure follows from its result" in done.stdout, done.stdout


def one_digit(text, pattern):
    """The text with the last digit of the first match changed."""
    match = re.search(pattern, text)
    at = match.end() - 1 - next(index for index, character in enumerate(reversed(match[0])) if character.isdigit())
    return text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1:]


@pytest.mark.parametrize("what", [
    r'<td class="right">\d\.\d+</td>', r'"ratio":\d\.\d+', r'aria-label="[^"]*ratio[^"]*: \d\.\d+', r"recovery \d+"])
def test_one_digit_that_is_changed_is_found(folder, tmp_path, what):
    done = run_echobench("verify", copied(folder, tmp_path, lambda text: one_digit(text, what)))
    assert done.returncode == 1 and "its result gives" in done.stdout, done.stdout


@pytest.mark.parametrize("change", [
    lambda text: text + "\n", lambda text: re.sub(r"(// [^\n]*)\n", "\\1\u2028", text, count=1)])
def test_an_end_of_line_that_is_changed_is_found(folder, tmp_path, change):
    assert run_echobench("verify", copied(folder, tmp_path, change)).returncode == 1


def test_a_chart_of_another_report_is_found(folder, tmp_path):
    page = copied(folder, tmp_path)
    (page.parent / "charts" / "blocking.svg").write_text("<svg/>")
    done = run_echobench("verify", page)
    assert done.returncode == 1 and "blocking.svg: this chart does not follow from the result" in done.stdout
    run_echobench("report", page)
    assert run_echobench("verify", page).returncode == 0, "written anew, its folder has its charts only"


def test_another_compression_of_the_same_result_is_no_difference(folder, tmp_path):
    def compressed_again(text):
        again = base64.b64encode(gzip.compress(json.dumps(documents.held(folder, text)).encode(), 1)).decode()
        return text.replace(documents.held_text(text, "result"), again)
    assert run_echobench("verify", copied(folder, tmp_path, compressed_again)).returncode == 0


def test_a_reference_of_any_name(tmp_path):
    loads = [{"load": "closed-loop", "connections": [10], "duration": "1s"}]
    made, _ = run_experiment(tmp_path, {**SMALL, "loads": loads}, "--no-report")
    stored = json.loads((made / "result.json").read_text())
    stored.pop("experiment")
    for cell in stored["cells"]:
        cell["variant"] = cell["variant"].replace("epoll", 'a&<b>"')
    (made / "result.json").write_text(json.dumps(stored))
    assert run_echobench("report", made, "--reference", 'a&<b>"').returncode == 0
    assert run_echobench("verify", made).returncode == 0


def test_a_chart_next_to_the_page_that_is_another_is_found(folder, tmp_path):
    page = copied(folder, tmp_path)
    chart = page.parent / "charts" / "throughput.svg"
    chart.write_text(one_digit(chart.read_text(), r">\d+"))
    done = run_echobench("verify", page)
    assert done.returncode == 1 and "throughput.svg: this chart does not follow from the result" in done.stdout


@pytest.mark.parametrize("change, says", [
    (lambda text: re.sub(r'(data-reference="epoll">.{100})', r"\1A", text), "cannot be read"),
    (lambda text: text.replace('id="result"', 'id="other"'), "holds no result")])
def test_a_page_without_a_whole_result_is_refused(folder, tmp_path, change, says):
    done = run_echobench("verify", copied(folder, tmp_path, change))
    assert done.returncode == 2 and says in done.stderr
