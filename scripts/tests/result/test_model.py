"""The typed model of a result: called as in the schema, and complete where figures need it."""

import json
from dataclasses import fields, is_dataclass
from typing import get_args, get_type_hints

import pytest
from conftest import cell_of, result_of

from echobench_lib.result import model
from echobench_lib.result.document import SCHEMA_FILE

SCHEMA = json.loads(SCHEMA_FILE.read_text())
OURS = {"document", "rate_per_s"}  # the whole of it; of its workload
UNDESCRIBED = {  # objects of which the schema does not list what is in them
    model.Config, model.Tool, model.Host, model.Placement, model.Stopped, model.ExperimentVariant, model.ExperimentLoad}


def described(schema):
    """The properties of an object, or of the objects in a list."""
    schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    return described(schema["items"]) if "items" in schema else schema.get("properties", {})


def classes_in(hint):
    return [part for part in (hint, *get_args(hint)) if is_dataclass(part) and part not in UNDESCRIBED]


def unknown(kind, properties, where):
    """The fields, in depth, that the schema does not have."""
    hints, names = get_type_hints(kind), [each.name for each in fields(kind) if each.name not in OURS]
    missing = [f"{where}.{name}" for name in names if name not in properties]
    for name in names:
        for inner in classes_in(hints[name]):
            if inner is not model.Workload and name in properties:
                missing += unknown(inner, described(properties[name]), f"{where}.{name}")
    return missing


def test_fields_are_called_as_in_the_schema():
    of_experiment = [f"result.experiment.{name}" for name in ("summary", "framing", "variants", "loads")]
    assert unknown(model.Result, SCHEMA["properties"], "result") == of_experiment, (
        "of an experiment the schema names what every one has")


def test_what_is_absent_is_none_or_empty():
    bare = result_of({"cells": [{}]})
    assert bare.placement is None and bare.until is None and bare.experiment.name is None and bare.runs == []
    [cell] = bare.cells
    assert cell.control is None and cell.server.stopped is None and cell.server.busy is None and cell.rate_per_s is None
    assert cell.response_ns == {} and cell.histograms == {} and cell.checks == [] and cell.server.command == []


def test_latencies_are_percentiles_only():
    cell = cell_of({"response_ns": {"mean": 2.5, "max": 9, "p50": 2, "p99.9": 8, "count": 7, "events": {"p50": 3}},
                    "by_operation_ns": {"echo": {"p50": 4, "events": {}}}})
    assert cell.response_ns == {"p50": 2, "p99.9": 8} and cell.by_operation_ns == {"echo": {"p50": 4}}


def test_an_experiments_variant_may_be_its_name_alone():
    entries = ["epoll", {"name": "mine", "command": ["./mine", "{port}"], "framing": "raw", "holds": "any"}]
    variants = result_of({"cells": [], "experiment": {"name": "e", "reference": "epoll", "variants": entries}})
    assert variants.experiment.variants == [
        model.ExperimentVariant("epoll"), model.ExperimentVariant("mine", "raw", ["./mine", "{port}"])]


def test_what_the_server_says_it_did_not_print_is_no_total():
    assert cell_of({"server": {"stopped": None}}).server.stopped is None
    assert cell_of({"server": {"stopped": {"requests": 3, "event": "stopped"}}}).server.stopped == model.Stopped(3)


def test_a_cell_without_what_every_cell_has_is_refused():
    with pytest.raises(TypeError, match="verdict"):
        model.build(model.Cell, {"variant": "epoll"})
