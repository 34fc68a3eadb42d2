"""A result of another version of the schema is refused, and says which is which."""

import pytest
from conftest import SMALL

from echobench_lib import Failure, documents, result

OTHERS = pytest.mark.parametrize("version, age, remedy", [
    (result.SCHEMA_VERSION - 1, "an older", "measure again"),
    (result.SCHEMA_VERSION + 1, "a newer", "use that echobench")])


def complaint(file, version, age, remedy):
    return (f"{file}: schema version {version}, written by {age} echobench; this one reads version "
            f"{result.SCHEMA_VERSION}: {remedy}")


def document(version):
    return {"schema_version": version, "tool": {}, "host": {}, "config": {}, "argv": [], "cells": []}


@OTHERS
def test_a_file_of_another_version_is_refused_with_both_versions(echobench, write, version, age, remedy):
    file = write(document(version), "result.json")
    for arguments in (("report", file), ("compare", file, file), ("export", file, "--as", "bmf")):
        done = echobench(*arguments)
        assert done.returncode == 2 and done.stderr == f"echobench: {complaint(file, version, age, remedy)}\n"


@OTHERS
def test_a_report_of_another_version_is_refused_too(echobench, tmp_path, version, age, remedy):
    page = tmp_path / "index.html"
    held = documents.embedded(document(version))
    page.write_text(f'<script type="application/gzip" id="result" data-reference="epoll">{held}</script>')
    for verb in ("report", "verify"):
        done = echobench(verb, page)
        assert done.returncode == 2 and done.stderr == f"echobench: {complaint(page, version, age, remedy)}\n"


@OTHERS
def test_a_load_generator_of_another_version_measures_nothing(echobench, write, tmp_path, version, age, remedy):
    experiment = {**SMALL, "restarts": 1, "loads": [{"load": "closed-loop", "connections": [10]}]}
    done = echobench("run", write(experiment), "--out", tmp_path / "r", "--no-report", FAKE_SCHEMA_VERSION=str(version))
    assert done.returncode == 1 and complaint("the output of echo-load", version, age, remedy) in done.stderr


def test_this_version_is_read(write):
    stored = result.load(write(document(result.SCHEMA_VERSION), "result.json"))
    assert stored.document["schema_version"] == result.SCHEMA_VERSION


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(Failure, match=f"^cannot write {tmp_path}/gone/r.json: No such file or directory$"):
        documents.write({}, tmp_path / "gone" / "r.json")
