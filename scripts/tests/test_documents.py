"""Folders of runs: each has its own, and what lies there is not lost."""

import os
import subprocess
import sys

import pytest

from echobench_lib import Usage, documents


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "REPOSITORY", tmp_path)
    return tmp_path


def test_runs_that_begin_at_the_same_time_have_folders_of_their_own(repository, monkeypatch):
    class Clock(documents.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, 30, 12)

    monkeypatch.setattr(documents, "datetime", Clock)
    made = [documents.new_folder(None, "quick", "result.json") for _ in range(3)]
    assert [folder.name for folder in made] == [f"20261130-120000-quick{end}" for end in ("", "-2", "-3")]
    assert all(folder.parent == repository / "runs" for folder in made)


@pytest.mark.parametrize("before, then, stays", [
    ("", "", False), ("", "raise SystemExit(130)", False), ("mkdir", "", True),
    ("", "(out / 'gate.md').touch()", True)])
def test_a_folder_into_which_nothing_was_written_is_removed(tmp_path, before, then, stays):
    out = tmp_path / "out"
    if before:
        out.mkdir()
    script = (f"from pathlib import Path\nfrom echobench_lib import documents\nout = Path('{out}')\n"
              f"documents.new_folder(out, 'gate', 'gate.json')\nassert out.exists()\n{then}\n")
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
                          capture_output=True, text=True)
    assert done.returncode in (0, 130), done.stderr
    assert out.exists() == stays


def test_a_page_and_pictures_that_are_none_of_ours_are_left_alone(measure, echobench, tmp_path):
    result, out = measure("a"), tmp_path / "site"
    (out / "charts").mkdir(parents=True)
    (out / "charts/scaling.svg").write_text("mine")
    (out / "index.html").write_text("<h1>my site</h1>")
    done = echobench("report", result, "--out", out)
    assert done.returncode == 2 and "a page that is no report would be overwritten" in done.stderr
    assert (out / "index.html").read_text() == "<h1>my site</h1>"
    (out / "index.html").unlink()
    assert echobench("report", result, "--out", out).returncode == 0
    assert (out / "charts/scaling.svg").read_text() == "mine"
    assert documents.has_report(out)
    assert echobench("report", result, "--out", out).returncode == 0
    with pytest.raises(Usage, match="holds a result"):
        documents.require_no_report(out)
