"""The table of servers/README.md, and what the models of this build say of themselves."""

import os
import re
from pathlib import Path

import pytest
from conftest import SCRIPTS

from echobench_lib import Failure, model_table
from echobench_lib.run.programs import list_variants

BUILD = Path(os.environ.get("ECHOBENCH_BUILD", SCRIPTS.parent / "build" / "release"))


def said(name, waits, holds="any", threads="N loops", **more):
    return {"name": name, "waits": waits, "holds": holds, "threads": threads, "unavailable_reason": "", **more}


def test_models_that_say_the_same_share_a_line():
    table = model_table.table([said("iterative", "one thread", "one", "must be 1"), said("epoll", "a loop"),
                               said("prefork", "processes", "threads"), said("poll", "a loop")])
    assert table.splitlines()[2:] == [
        "| model | what waits | clients at once | `--threads N` |", "|---|---|---|---|",
        "| `iterative` | one thread | 1 | must be 1 |", "| `epoll`, `poll` | a loop | any | N loops |",
        "| `prefork` | processes | N | N loops |"]


def test_only_the_table_of_the_readme_is_replaced():
    old, new = ([said("epoll", waits)] for waits in ("a loop", "another"))
    text = f"# Models\n\n{model_table.table(old)}\n| another | table |\n"
    assert model_table.replaced(text, new) == f"# Models\n\n{model_table.table(new)}\n| another | table |\n"


def test_a_readme_without_the_table_is_not_written():
    with pytest.raises(Failure, match="there 0 times"):
        model_table.replaced("# Models\n", [said("epoll", "a loop")])


def test_a_model_that_is_not_built_says_nothing():
    with pytest.raises(Failure, match="needs all models, and libuv was built without libuv1-dev"):
        model_table.table([said("libuv", "", unavailable_reason="built without libuv1-dev")])


@pytest.fixture
def listing(monkeypatch):
    """Of the real programs, if all models are in them."""
    if not all(os.access(BUILD / "servers" / name, os.X_OK) for name in ("echo-server", "echo-server-uring")):
        pytest.skip(f"no servers in {BUILD}")
    monkeypatch.setenv("ECHOBENCH_BUILD", str(BUILD))
    listed = list_variants()
    if lacking := [entry["name"] for entry in listed if not entry["waits"]]:
        pytest.skip(f"not built: {', '.join(lacking)}")
    return listed


def test_the_readme_has_the_table_of_the_models(listing):
    """A change of what they say changes it: scripts/echobench list --readme"""
    text = model_table.FILE.read_text()
    assert model_table.table(listing) in text and model_table.replaced(text, listing) == text


def test_each_model_describes_itself_wholly(listing):
    for entry in listing:
        assert re.fullmatch("#[0-9a-f]{6}", entry["colour"]), entry
        assert entry["summary"] and entry["family"] and entry["threads"], entry
        assert ("patched" in entry["remark"]) == (entry["program"] == "echo-server-uring"), entry
    for what in ("name", "summary", "colour"):
        assert len({entry[what] for entry in listing}) == len(listing), f"two models have one {what}"
