"""The command line: verbs, mistakes, what finds the Python that it needs."""

import json
import os
import subprocess

import pytest
from conftest import FAKES, SCRIPTS, SMALL

from echobench_lib import doctor, model_table
from echobench_lib.plan import experiment, variants


@pytest.mark.parametrize("arguments, status, complaint", [
    (["run", "nosuch"], 2, "there are arrivals, blocking, calibration"), (["run"], 2, "EXPERIMENT"),
    (["walk"], 2, "invalid choice"), (["report", "/nonexistent"], 2, "there is no result"),
    (["compare", "/nonexistent", "/nonexistent"], 2, "no result"),
    (["compare", "a", "b", "--fail-over", "ten"], 2, "not a percentage")])
def test_mistakes_on_the_command_line(echobench, arguments, status, complaint):
    done = echobench(*arguments)
    assert done.returncode == status and complaint in done.stderr


def with_output_to(descriptor, *arguments, **environment):
    """The exit status of the launcher, whose output goes there, and what it printed on stderr unless that does, too."""
    done = subprocess.run([SCRIPTS / "echobench", *arguments], stdout=descriptor, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "ECHOBENCH_BUILD": str(FAKES), **environment})
    return done.returncode, done.stderr


@pytest.fixture
def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_a_reader_that_leaves_changes_neither_files_nor_exit_status(write, tmp_path, closed_pipe):
    ran = with_output_to(closed_pipe, "run", write(SMALL), "--out", tmp_path / "a", "--no-report")
    assert ran == (0, "") and json.loads((tmp_path / "a/result.json").read_text())["complete"]
    assert with_output_to(closed_pipe, "report", tmp_path / "a", "--no-page") == (0, "")
    assert with_output_to(closed_pipe, "compare", tmp_path / "a", tmp_path / "nothing")[0] == 2
    judged = with_output_to(closed_pipe, "compare", tmp_path / "a", tmp_path / "a", "--fail-over", "1%")
    assert judged == with_output_to(subprocess.DEVNULL, "compare", tmp_path / "a", tmp_path / "a", "--fail-over", "1%")
    assert judged[0] == 2  # no control: there is nothing to judge


def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "w") as full:
        status, complaint = with_output_to(full, "list")
    assert status == 1 and complaint == "echobench: <stdout>: No space left on device\n"


@pytest.mark.parametrize("arguments, status", [
    (["run", "quick", "--out", "/dev/null/r"], 1), (["gate", "--base", "HEAD", "--out", "/dev/null/r"], 3)])
def test_a_file_that_cannot_be_written_is_no_regression(echobench, arguments, status):
    done = echobench(*arguments)
    assert (done.returncode, done.stderr) == (status, "echobench: /dev/null/r: Not a directory\n")


def test_a_program_that_is_not_installed_is_named(echobench, tmp_path):
    done = echobench("gate", "--base", "HEAD", "--out", tmp_path / "gate", PATH="/nonexistent")
    assert done.returncode == 3 and done.stderr.startswith("echobench: git is not installed, or not on PATH")


def test_list_shows_why_a_variant_cannot_run(echobench):
    done = echobench("list", FAKE_UNAVAILABLE="thread-pool")
    assert done.returncode == 0 and "quick" in done.stdout
    assert next(line for line in done.stdout.splitlines() if "thread-pool" in line).endswith("[unavailable: not here]")


def test_one_broken_experiment_leaves_the_list(echobench, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "FOLDER", tmp_path)
    (tmp_path / "fine.json").write_text(json.dumps({**SMALL, "summary": "one that can be read"}))
    (tmp_path / "broken.json").write_text("{")
    done = echobench("list")
    assert done.returncode == 0 and "one that can be read" in done.stdout
    assert "broken                  unavailable:" in done.stdout and "not JSON" in done.stdout


def test_list_shows_what_must_be_known_of_a_variant(echobench):
    lines = echobench("list", FAKE_REMARK="patched: twice", FAKE_UNAVAILABLE="asio-callback").stdout.splitlines()
    assert next(line for line in lines if "asio-callback" in line).endswith(" [patched: twice] [unavailable: not here]")


def test_list_writes_the_table_of_the_models(echobench, tmp_path, monkeypatch):
    monkeypatch.setattr(model_table, "FILE", tmp_path / "README.md")
    model_table.FILE.write_text("# Models\n\n" + model_table.table([]) + "\nThe rest\n")
    assert echobench("list", "--readme").returncode == 0
    text = model_table.FILE.read_text()
    assert "\n| `iterative` | a fake | 1 | N fakes |\n" in text and text.endswith(" | N fakes |\n\nThe rest\n")


def test_list_has_the_other_runtimes_and_what_they_need(echobench, tmp_path, monkeypatch):
    entries = [{"name": "python-streams", "command": ["python3", "streams.py", "{port}"], "framing": "raw"},
               {"name": "python-uvloop", "command": ["python3", "uvloop.py", "{port}"], "framing": "raw",
                "needs": ["nosuch-program"]}]
    monkeypatch.setattr(variants, "OTHER_RUNTIMES_FILE", tmp_path / "other_runtimes.json")
    assert "\nother runtimes\n" not in echobench("list").stdout
    variants.OTHER_RUNTIMES_FILE.write_text(json.dumps(entries))
    lines = echobench("list").stdout.split("\nother runtimes\n")[1].splitlines()
    assert lines[0].split() == ["python-streams", "raw;", "serves", "any", "number", "of", "clients"]
    assert lines[1].endswith("[unavailable: nosuch-program is not installed]")


def test_doctor_examines_this_host(echobench):
    done = echobench("doctor", "--watch", "0.1")
    assert done.returncode == 0
    for subject in ("cores", "descriptors", "somaxconn", "io_uring", "mitigations", "governor", "load"):
        assert f"{subject}:" in done.stdout


@pytest.mark.parametrize("reserved, ports", [
    ("", 11), ("\n", 11), ("100", 10), ("99,101-103,110-2000\n", 7), ("1-9000", 0)])
def test_doctor_counts_the_ports_that_can_be_taken(reserved, ports):
    assert doctor.local_ports(100, 110, reserved) == ports


def test_the_launcher_finds_a_python_that_can(tmp_path):
    done = subprocess.run([SCRIPTS / "echobench", "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "usage: echobench" in done.stdout
    lacking = tmp_path / "python"
    lacking.write_text("#!/bin/sh\nexec /usr/bin/python3 -S -E \"$@\"\n")
    lacking.chmod(0o755)
    done = subprocess.run([SCRIPTS / "echobench", "--help"], capture_output=True, text=True,
                          env={**os.environ, "ECHOBENCH_PYTHON": str(lacking)})
    assert done.returncode == 1
    assert "python3-scipy" in done.stderr and "scripts/dependencies" in done.stderr


def test_the_launcher_is_found_and_finds_its_own(tmp_path):
    """Through a symbolic link, with CDPATH, next to files that are called like Python's modules."""
    (tmp_path / "csv.py").write_text("raise SystemExit('not the csv of Python')\n")
    (tmp_path / "numpy.py").write_text("raise SystemExit('not numpy')\n")
    (tmp_path / "linked").symlink_to(SCRIPTS / "echobench")
    done = subprocess.run(["./linked", "--help"], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "CDPATH": f"{tmp_path}:/"})
    assert done.returncode == 0 and done.stdout.startswith("usage: echobench"), done.stderr


def test_a_module_that_cannot_be_imported_is_named_with_its_error(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('built for another Python')\n")
    done = subprocess.run([SCRIPTS / "echobench", "--help"], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
                               "ECHOBENCH_PYTHON": "/usr/bin/python3"})
    assert done.returncode == 1 and "cannot import numpy: ImportError: built for another Python" in done.stderr
    assert "packages missing" not in done.stderr


@pytest.mark.parametrize("script", ["quickstart", "test", "publish", "fuzz", "dependencies"])
def test_scripts_explain_themselves_and_refuse_what_they_do_not_know(tmp_path, script):
    (tmp_path / script).symlink_to(SCRIPTS / script)
    environment = {**os.environ, "CDPATH": "/:/tmp", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([f"./{script}", "--help"], cwd=tmp_path, capture_output=True, text=True, env=environment)
    first = (SCRIPTS / script).read_text().splitlines()[1].removeprefix("# ")
    assert done.returncode == 0 and done.stdout.splitlines()[0] == first and "\n==" not in done.stdout
    done = subprocess.run([f"./{script}", "--nosuch"], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (2, "") and f"{script}: unknown option '--nosuch'" in done.stderr


@pytest.mark.parametrize("verb", ["", "run", "report", "compare", "micro", "count", "list", "doctor"])
def test_help_exists_for_every_verb(echobench, verb):
    done = echobench(*([verb] if verb else []), "--help")
    assert done.returncode == 0 and "usage: echobench" in done.stdout


def test_dependencies_of_other_runtimes_are_checked_only_when_asked_for(tmp_path):
    def check(*options):
        done = subprocess.run([SCRIPTS / "dependencies", "--check", *options], capture_output=True, text=True,
                              env={**os.environ, "PATH": path})
        return done.returncode, set(done.stdout.split()) - {"missing:"}, done.stderr
    path = os.environ["PATH"]
    everything = check()[1]
    (tmp_path / "dpkg-query").write_text("#!/bin/sh\nexit 1\n")  # no package is there
    (tmp_path / "dpkg-query").chmod(0o755)
    path = f"{tmp_path}:{path}"
    status, plain, _ = check()
    assert status == 1 and "python3-uvloop" not in plain and everything <= plain
    status, more, _ = check("--other-runtimes")
    assert status == 1 and more - plain <= {"python3-uvloop", "golang-go"} and "python3-uvloop" in more
    status, _, complaint = check("--other")
    assert status == 2 and "unknown option '--other'" in complaint
