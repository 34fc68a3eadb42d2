"""`gate`: what is found of a cell, exit statuses, what is written, and revisions that are built."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from conftest import FAKES, run_echobench

from echobench_lib import Failure, Usage
from echobench_lib.count.document import counts_of
from echobench_lib.gate import builds, exact, outputs
from echobench_lib.gate.builds import BrokenBuild, Build
from echobench_lib.gate.judgement import (BROKE, IMPROVED, LEFT_OUT, MISSING, NEW, REGRESSED, UNCHANGED, UNDECIDED,
                                          UNMEASURED, Judgement, exit_status)

BASE, HEAD = (Build(name, commit * 40, FAKES) for name, commit in (("main", "a"), ("HEAD", "b")))


def figure(*values, exact=True):
    return {"per_request": values[0], "values": list(values), "scatter": 0.0, "exact": exact}


def cell(instructions=500, sends=1, functions=None, **figures):
    return {"figures": {"instructions": figure(instructions, instructions), "allocations": figure(0.0, 0.0),
                        "allocated_bytes": figure(0.0, 0.0), "system_calls": figure(sends, sends), **figures},
            "system_calls": {"sendto": figure(sends, sends)}, "inexact": "", "refused": {},
            "functions": [{"name": name, "instructions": number, "share": 0}
                          for name, number in (functions or {}).items()]}


def judge(before, after, margin=0.01):
    return exact._judge("epoll", 64, counted(before), counted(after), margin)


def counted(cell):
    """What the tier has of a cell, or of a sentence that says why there is none."""
    return counts_of(cell) if isinstance(cell, dict) else cell


# ---- a cell ----

@pytest.mark.parametrize("before, after, verdict", [
    (cell(), cell(), UNCHANGED), (cell(), cell(505), UNCHANGED), (cell(), cell(506), REGRESSED),
    (cell(506), cell(), IMPROVED), (cell(), cell(sends=1.02), REGRESSED),
    (cell(), cell(400, sends=1.02), REGRESSED), (cell(sends=2), cell(), IMPROVED),
    (cell(), cell(allocations=figure(1.0, 1.0)), REGRESSED), (cell(), None, MISSING), (None, cell(), NEW),
    (cell(), "it crashed", BROKE), (None, "it crashed", BROKE), ("it crashed", cell(), UNMEASURED),
    ("it crashed", "it crashed", UNMEASURED), (cell(), cell(instructions=501, allocations=None), UNDECIDED),
    (cell(allocations=None), cell(allocations=None), UNDECIDED),
    ({**cell(system_calls=None), "system_calls": {}}, cell(), UNDECIDED)])
def test_what_is_found_of_a_cell(before, after, verdict):
    assert judge(before, after).verdict == verdict


def test_a_regression_says_which_functions_grew():
    [rise, grew] = judge(cell(functions={"f": 400, "g": 100}), cell(600, functions={"f": 500, "g": 100})).why
    assert rise == "instructions 500 to 600 (+20.00 %)" and grew == "grew most: f +100"


def test_the_margin_is_the_users():
    assert judge(cell(1000), cell(1005), 0.004).verdict == REGRESSED
    assert judge(cell(1000), cell(1005), 0.006).verdict == UNCHANGED


# ---- all cells ----

@pytest.mark.parametrize("verdicts, status, strictly", [
    ([UNCHANGED, IMPROVED, NEW], 0, 0), ([UNCHANGED, REGRESSED, UNDECIDED], 1, 1), ([REGRESSED, MISSING], 2, 2),
    ([BROKE], 2, 2), ([UNCHANGED, UNMEASURED], 3, 3), ([UNMEASURED, REGRESSED], 1, 1), ([UNDECIDED, UNCHANGED], 0, 4),
    ([UNDECIDED, NEW, LEFT_OUT], 4, 4),
    ([UNCHANGED, LEFT_OUT], 0, 0), ([], 2, 2), ([NEW], 2, 2), ([LEFT_OUT], 2, 2)])
def test_exit_statuses(verdicts, status, strictly):
    judgements = [Judgement("exact", f"v{number}", 1, verdict) for number, verdict in enumerate(verdicts)]
    assert exit_status(judgements) == status
    assert exit_status(judgements, strict=True) == strictly


# ---- what is written ----

JUDGEMENTS = [Judgement("exact", "epoll", 64, UNCHANGED, [], {"instructions": "500"}),
              Judgement("exact", "poll", 1, REGRESSED, ["a | b <i>"], {"instructions": "500 → 600"}),
              Judgement("exact", "fiber", 1, UNDECIDED, ["why\nnot"])]


def test_markdown_has_what_changed_on_top():
    text = outputs.markdown("B against A", JUDGEMENTS)
    top, rest = text.split("<details>")
    assert "**1 regressed, 1 inconclusive, 1 unchanged**" in top
    assert top.index("| poll,") < top.index("| fiber,") and "epoll" not in top and "a \\| b &lt;i>" in top
    assert "| epoll | 64 | 500 | unchanged |" in rest


def test_junit_is_xml_with_a_case_for_each_cell():
    suite = ElementTree.fromstring(outputs.junit(JUDGEMENTS))
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["3", "1", "1"]
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["skipped"]]
    assert suite[1][0].get("message") == "regressed: a | b <i>"


def test_annotations_are_one_line_each():
    assert list(outputs.annotations(JUDGEMENTS)) == [
        "::error title=echobench: poll%2C 1 connection::regressed: a | b <i>",
        "::warning title=echobench: fiber%2C 1 connection::inconclusive: why%0Anot"]
    many = list(outputs.annotations([Judgement("exact", "epoll", number, REGRESSED, ["why"])
                                     for number in range(1, 21)]))
    assert len(many) == 10 and many[-1] == "::error title=echobench::and 11 more: the job's summary has them"


# ---- the verb ----

@pytest.fixture
def gate(monkeypatch, tmp_path):
    """Runs the verb with counts that are given: {variant: a cell, or why there is none}, of base and head."""

    def gate(base, head, *options, uncounted={}, **environment):
        sides = {BASE: base, HEAD: head}
        monkeypatch.setattr(builds, "build", lambda names, console, **_: [BASE, HEAD])
        monkeypatch.setattr(exact, "_count", lambda plans, progress: ({
            build: {(variant, 64): counted(cell) for variant, cell in side.items()}
            for build, side in sides.items()}, uncounted))
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        return run_echobench("gate", "--base", "main", "--out", out, *options, **environment), out

    return gate


def test_a_regression_fails_and_is_reported_everywhere(gate, tmp_path):
    summary = tmp_path / "summary.md"
    done, out = gate({"epoll": cell(), "thread-pool": cell()}, {"epoll": cell(600), "thread-pool": cell()},
                     GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 1, done.stderr
    assert "epoll, 64 connections: regressed: instructions 500 to 600 (+20.00 %)" in done.stdout
    assert "::error title=echobench: epoll%2C 64 connections::regressed" in done.stdout
    stored = json.loads((out / "gate.json").read_text())
    assert stored["exit_status"] == 1 and (stored["base"], stored["head"]) == ("a" * 40, "b" * 40)
    assert [judged["verdict"] for judged in stored["cells"]] == [REGRESSED, UNCHANGED]
    assert summary.read_text() == (out / "gate.md").read_text()
    assert ElementTree.fromstring((out / "gate.xml").read_text()).get("failures") == "1"


def test_a_summary_that_cannot_be_written_does_not_change_the_verdict(gate):
    for judged, status in ((cell(), 0), (cell(600), 1)):
        done, out = gate({"epoll": cell()}, {"epoll": judged}, GITHUB_STEP_SUMMARY="/dev/null/summary")
        assert done.returncode == status and (out / "gate.md").exists()
        assert done.stderr == "echobench: warning: GITHUB_STEP_SUMMARY: /dev/null/summary: Not a directory\n"


def test_what_is_not_counted_is_reported_and_changes_nothing(gate):
    done, out = gate({"epoll": cell()}, {"epoll": cell()}, uncounted={"prefork": "it serves with 3 processes"})
    assert done.returncode == 0 and "prefork: not judged: it serves with 3 processes" in done.stdout
    skipped = ElementTree.fromstring((out / "gate.xml").read_text()).get("skipped")
    assert skipped == str((out / "gate.json").read_text().count('"not judged"'))


def test_a_gate_that_cannot_work_has_found_no_regression(gate, monkeypatch):
    def fail(*_, **__):
        raise Failure("no valgrind here")
    monkeypatch.setattr(exact, "judge", fail)
    done, out = gate({}, {}, GITHUB_ACTIONS="true")
    assert done.returncode == 3 and done.stderr == "echobench: no valgrind here\n"
    assert "no valgrind here" in (out / "gate.md").read_text()
    assert "::error title=echobench::no valgrind here" in done.stdout
    assert ElementTree.fromstring((out / "gate.xml").read_text())[0][0].get("message") == "no valgrind here"


def test_what_has_not_changed_passes(gate):
    done, _ = gate({"epoll": cell()}, {"epoll": cell()})
    assert done.returncode == 0 and "1 unchanged" in done.stdout and "::" not in done.stdout


@pytest.mark.parametrize("base, head, status, says", [
    ({"epoll": cell()}, {"epoll": "epoll: ended by SIGSEGV"}, 2,
     "epoll, 64 connections: broken: epoll: ended by SIGSEGV"),
    ({"epoll": cell()}, {"epoll": "reply 3 is wrong"}, 2, "broken: reply 3 is wrong"),
    ({"epoll": cell(), "thread-pool": cell()}, {"epoll": cell()}, 2, "thread-pool, 64 connections: missing"),
    ({"epoll": cell()}, {"epoll": cell(), "thread-pool": cell()}, 0, "1 new, 1 unchanged"),
    ({}, {"epoll": cell()}, 2, "1 new"), ({}, {}, 2, "nothing was compared")])
def test_broken_missing_and_new(gate, base, head, status, says):
    done, _ = gate(base, head)
    assert done.returncode == status and says in done.stdout


def test_what_is_inconclusive_fails_only_strictly(gate):
    sides = {"epoll": cell(), "poll": cell()}, {"epoll": cell(allocations=None), "poll": cell()}
    assert gate(*sides)[0].returncode == 0
    assert gate(*sides, "--strict")[0].returncode == 4


def test_a_variant_of_neither_revision_is_a_mistake(gate):
    done, _ = gate({}, {}, "nonsense")
    assert done.returncode == 2 and "no variant 'nonsense' in either revision: there are iterative," in done.stderr


# ---- revisions ----

PROJECT = """\
cmake_minimum_required(VERSION 3.20)
project(small LANGUAGES NONE)
add_custom_target(echo-server COMMAND {command})
add_custom_target(echo-load COMMAND
  ${{CMAKE_COMMAND}} -E copy ${{CMAKE_SOURCE_DIR}}/server ${{CMAKE_BINARY_DIR}}/loadgen/echo-load)
"""
COPY = "${CMAKE_COMMAND} -E copy ${CMAKE_SOURCE_DIR}/server ${CMAKE_BINARY_DIR}/servers/echo-server"


@pytest.fixture
def repository(tmp_path):
    """A function that commits a project whose build runs a command; and its folder."""
    folder = tmp_path / "repository"

    def git(*arguments):
        subprocess.run(["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
                       check=True, capture_output=True)

    def commit(text, command=COPY):
        (folder / "server").write_text(text)
        (folder / "CMakeLists.txt").write_text(PROJECT.format(command=command))
        git("add", "server", "CMakeLists.txt")
        git("commit", "-m", text)

    folder.mkdir()
    git("init", "-b", "main")
    return SimpleNamespace(folder=folder, commit=commit, git=git)


QUIET = SimpleNamespace(print=lambda *_, **__: None)


def test_each_revision_is_built_from_its_own_files(repository):
    for text in ("one", "two", "three"):
        repository.commit(text)
    base, head = builds.build(["main~1", "main"], QUIET, repository.folder)
    for build, text in ((base, "two"), (head, "three")):
        assert (build.folder / "servers" / "echo-server").read_text() == text
        assert build.commit[:12] in build.label
    assert len(str(base.folder)) == len(str(head.folder))
    builds.build(["main~2", "main"], QUIET, repository.folder)
    assert not base.folder.exists() and head.folder.exists(), "what is no longer asked for is gone"


def test_what_was_built_is_used_again_if_nothing_has_changed(repository, monkeypatch):
    repository.commit("one")
    repository.commit("two")

    def built():
        sides = builds.build(["main~1", "main"], QUIET, repository.folder)
        assert [(side.folder / "servers" / "echo-server").read_text() for side in sides] == ["one", "two"]
        used_again = [(side.folder / "mark").exists() for side in sides]
        for side in sides:
            (side.folder / "mark").touch()
        return used_again, sides[0].folder.parent / "source" / "server"

    assert built()[0] == [False, False]
    used_again, source = built()
    assert used_again == [True, True]
    source.write_text("changed under the commit's name")
    assert built()[0] == [False, True]
    monkeypatch.setenv("CXXFLAGS", "-fno-inline")
    assert built()[0] == [False, False], "one toolchain for both"


def test_a_second_gate_leaves_the_first_its_builds(repository):
    for text in ("one", "two", "three"):
        repository.commit(text)
    script = ("import sys\nfrom pathlib import Path\nfrom types import SimpleNamespace\n"
              "from echobench_lib.gate import builds\n"
              "quiet = SimpleNamespace(print=lambda *_, **__: None)\n"
              f"builds.build(['main~2', 'main~1'], quiet, Path('{repository.folder}'))\n"
              "print('built', flush=True)\nsys.stdin.read()\n")
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": ":".join(sys.path)}) as first:
        assert first.stdout.readline() == "built\n"
        places = [path for path in (repository.folder / builds.FOLDER).iterdir() if path.is_dir()]
        builds.build(["main", "main"], QUIET, repository.folder)
        assert all((place / "build" / "servers" / "echo-server").exists() for place in places)
        first.stdin.close()
    builds.build(["main", "main"], QUIET, repository.folder)
    assert not any(place.exists() for place in places)


def test_a_change_is_compared_with_what_it_began_with(repository):
    """The base's branch has gone on: that is not of the change."""
    said = []
    for text in ("one", "two"):
        repository.commit(text)
    repository.git("checkout", "-b", "change")
    repository.commit("change")
    repository.git("checkout", "main")
    repository.commit("three")
    console = SimpleNamespace(print=lambda text, **_: said.append(text))
    base, head = builds.build(["main", "change"], console, repository.folder)
    assert [(build.folder / "servers" / "echo-server").read_text() for build in (base, head)] == ["two", "change"]
    assert said[0].startswith(f"change is compared with {base.commit[:12]}, where it left main")
    assert base.label == f"main where change left it ({base.commit[:12]})"


def test_what_has_no_beginning_in_this_clone_is_a_mistake(repository, tmp_path):
    repository.commit("one")
    repository.git("checkout", "-b", "change")
    repository.commit("change")
    repository.git("checkout", "main")
    repository.commit("two")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--depth", "1", "--no-single-branch", f"file://{repository.folder}", clone],
                   check=True, capture_output=True)
    with pytest.raises(Usage, match="no commit in common in this clone, which is shallow: `git fetch --unshallow`"):
        builds.build(["origin/main", "origin/change"], QUIET, clone)
    repository.git("checkout", "--orphan", "other")
    repository.commit("other")
    with pytest.raises(Usage, match="have no commit in common: give a base"):
        builds.build(["main", "other"], QUIET, repository.folder)


def test_what_git_refuses_is_in_its_words(repository, monkeypatch):
    repository.commit("one")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(Failure, match="git: fatal: detected dubious ownership in repository(.|\n)*safe.directory"):
        builds.build(["main", "main"], QUIET, repository.folder)


def test_a_revision_against_itself_is_built_twice(repository):
    repository.commit("one")
    base, head = builds.build(["main", "main"], QUIET, repository.folder)
    assert base != head and base.commit == head.commit and len(str(base.folder)) == len(str(head.folder))
    assert all((build.folder / "servers" / "echo-server").read_text() == "one" for build in (base, head))


def test_the_load_generator_is_that_of_the_revision_that_is_checked_out(repository):
    for text in ("one", "two", "three"):
        repository.commit(text)
    older = builds.build(["main~2", "main~1"], QUIET, repository.folder)
    for sides in (older, builds.build(["main", "main~1"], QUIET, repository.folder)):
        driver = builds.load_generator(sides, QUIET, repository.folder)
        assert (driver.folder / "loadgen" / "echo-load").read_text() == "three"
    assert driver.folder == sides[0].folder and not (sides[1].folder / "loadgen").exists()


def test_a_revision_that_does_not_build_is_reported_with_its_first_error(repository):
    repository.commit("one")
    repository.commit('message(FATAL_ERROR "no")', "${CMAKE_COMMAND} -P ${CMAKE_SOURCE_DIR}/server")
    with pytest.raises(BrokenBuild, match=r"does not build: CMake Error at .*server:1 \(message\):") as failure:
        builds.build(["main~1", "main"], QUIET, repository.folder)
    assert failure.value.exit_status == 2


def test_a_revision_that_does_not_exist_is_a_mistake(repository):
    repository.commit("one")
    with pytest.raises(Usage, match="'nowhere' is no revision of"):
        builds.build(["nowhere", "main"], QUIET, repository.folder)


def test_changes_that_are_not_committed_are_seen(repository):
    repository.commit("one")
    assert not builds.has_changes(repository.folder)
    (repository.folder / "server").write_text("two")
    assert builds.has_changes(repository.folder)


def test_a_failure_of_one_cell_leaves_the_others(monkeypatch):
    def measure(self, cell):
        measured.append(cell)
        if measured.count(cell) > 1 and cell.variant == "epoll":  # the head's comes second
            raise Failure("epoll: ended by SIGSEGV")
        return counted

    measured, counted = [], globals()["cell"]()
    monkeypatch.setattr(exact.Measurement, "measure", measure)
    asked = SimpleNamespace(variants=["epoll", "asio-callback"], connections=[4], repeats=1, margin=0.01)
    verdicts = {judgement.variant: judgement.verdict for judgement in exact.judge(BASE, HEAD, asked, lambda *_: None)}
    assert verdicts == {"epoll": BROKE, "asio-callback": UNCHANGED}


def test_two_compilers_are_no_comparison(monkeypatch):
    def measure(self, _):
        self.document["tool"]["build"] = {"compiler": f"GCC {next(versions)}"}
        return cell()

    versions = iter((12, 13))
    monkeypatch.setattr(exact.Measurement, "measure", measure)
    asked = SimpleNamespace(variants=["epoll"], connections=[4], repeats=1, margin=0.01)
    with pytest.raises(Failure, match=r"not built with one toolchain: "
                                      r"main \(aaaaaaaaaaaa\) by GCC 12, HEAD \(bbbbbbbbbbbb\) by GCC 13"):
        exact.judge(BASE, HEAD, asked, lambda *_: None)
