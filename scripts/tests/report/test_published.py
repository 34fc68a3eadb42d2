"""The report that is published, and the README that shows it."""

import json
import re
import shutil

from conftest import SCRIPTS, run_echobench

from echobench_lib import documents

REPOSITORY = SCRIPTS.parent
PUBLISHED = REPOSITORY / "results" / "published"
MOST_BYTES = 7_000_000  # 5.9 of them the page: 20 servers, 1,900 cells


def test_its_figures_follow_from_its_results():
    """A change of what reports print changes it: scripts/publish --again"""
    done = run_echobench("verify", PUBLISHED)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_path_of_the_machine_is_in_it():
    page = (PUBLISHED / "index.html").read_text()
    held = [json.dumps(documents.held(PUBLISHED, page, name)) for name in ("result", "result-count", "result-micro")]
    assert all("build/release/" in text for text in held)
    assert not any(re.search(r"/build/release/", text) for text in (page, *held))


def test_one_digit_that_is_changed_is_found(tmp_path):
    shutil.copy(PUBLISHED / "index.html", tmp_path)
    page = tmp_path / "index.html"
    text = page.read_text()
    cell = re.search(r'<td class="right">(\d\.\d\d)(\d)</td>', text)
    page.write_text(f"{text[:cell.start(2)]}{(int(cell[2]) + 1) % 10}{text[cell.end(2):]}")
    done = run_echobench("verify", page)
    assert done.returncode == 1 and "not every figure follows from its result" in done.stdout


def test_it_is_small_and_the_readme_shows_its_charts():
    files = [file for file in PUBLISHED.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    shown = set(re.findall(r"!\[[^]]*\]\(results/published/(charts/[^)]+)\)", (REPOSITORY / "README.md").read_text()))
    assert {str(file.relative_to(PUBLISHED)) for file in files} == {"index.html"} | shown and len(shown) == 2
