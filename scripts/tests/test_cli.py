"""The command line: verbs, mistakes, what finds the Python that it needs."""

import json
import os
import shutil
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


@pytest.mark.parametrize("release, level, lost", [
    ("6.1.0-18-amd64", "ok", []), ("6.18.5", "ok", []), ("6.0.19", "note", ["io-uring"]),
    ("5.15.0-91-generic", "warning", ["io-uring", "asio-*-uring"]), ("4.19", "warning", ["echo-load and the servers"])])
def test_doctor_says_what_an_older_kernel_cannot_do(release, level, lost):
    finding = doctor.kernel(release)
    assert finding.level == level and all(part in finding.what for part in lost)
    assert lost or finding.what == release


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


@pytest.fixture
def dependencies(tmp_path):
    """Runs scripts/dependencies where there are only the tools of its own, and what is given as name=script."""
    for name in ("bash", "dirname", "readlink", "sed", "sort", "grep", "head", "cat", "fmt", "env"):
        (tmp_path / name).symlink_to(shutil.which(name))

    def run(*options, **programs):
        for name, script in {"uname": "echo Linux", "id": "echo 1000", **programs}.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        return subprocess.run([SCRIPTS / "dependencies", *options], capture_output=True, text=True,
                              env={"PATH": str(tmp_path), "ECHOBENCH_PYTHON": str(tmp_path / "python")})
    return run


def missing(done):
    assert done.returncode == 1 and done.stdout.startswith("missing: "), done.stderr
    return set(done.stdout.removeprefix("missing: ").strip().split(", "))


def test_dependencies_of_a_part_are_looked_for_only_when_asked_for(dependencies):
    always = missing(dependencies("--check"))
    assert {"g++ 12", "boost_fiber 1.81", "liburing 2.3", "scipy"} <= always
    assert missing(dependencies("--check", "--other-runtimes")) - always == {"go", "uvloop"}
    assert missing(dependencies("--check", "--fuzzing")) - always == {"clang++", "fuzzer"}
    assert {"pytest", "chromium"} <= missing(dependencies("--check", "--tests")) - always


def test_what_is_there_in_the_least_version_is_enough(dependencies):
    def lacks(liburing):
        programs = {"pkg-config": f'[ "$2" = liburing ] && echo {liburing}', "cmake": "echo cmake version 3.31.6"}
        return missing(dependencies("--check", **programs))
    assert "liburing 2.3" in lacks("2.2") and "cmake 3.25" not in lacks("2.2")
    assert "liburing 2.3" not in lacks("2.3") and "liburing 2.3" not in lacks("2.10")
    assert "libuv 1.44" in lacks("2.3")


EVERYTHING = {"g++": "case $1 in --version) echo g++ 14.2.0;; *) cat >/dev/null; echo 1_83;; esac",
              "cmake": "echo 3.25.1", "ninja": "", "pkg-config": "echo 99", "git": "", "node": "echo v18.19.0",
              "npm": "", "valgrind": "", "strace": "", "ip": ""}


def test_without_apt_get_it_says_what_to_install(dependencies):
    programs = {**EVERYTHING, "node": "echo v16.20.2",
                "python": "case $* in *rich*) exit 1;; *) echo 3.11.2; esac"}
    done = dependencies(**programs)
    assert done.returncode == 1 and len(done.stderr.splitlines()) <= 10, done.stderr
    assert done.stderr.splitlines()[0].endswith(": node 18, rich"), done.stderr
    done = dependencies(**{**programs, "node": "echo v18.0.0", "python": "echo 3.11.2"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_needs_root_is_named(dependencies):
    programs = {**EVERYTHING, "apt-get": "exit 9", "python": "case $* in *scipy*) exit 1;; *) echo 3.11.2; esac"}
    done = dependencies(**programs)
    assert (done.returncode, done.stderr) == (1, "dependencies: needs root or sudo to install: scipy\n")


def test_another_kernel_is_refused(dependencies):
    done = dependencies(uname="echo Darwin")
    assert done.returncode == 1 and "Linux (5.19 or later" in done.stderr and "on Darwin" in done.stderr


def test_dependencies_refuse_an_unknown_option(dependencies):
    done = dependencies("--other")
    assert done.returncode == 2 and "unknown option '--other'" in done.stderr
