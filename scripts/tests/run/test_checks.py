"""The server's own totals against what the client saw."""

from types import SimpleNamespace

import pytest

from echobench_lib.run.checks import check_totals


def checks(load="closed-loop", opened=10, answered=100, command=None, **stopped):
    cell = {"load": load, "connections": {"opened": opened}, "workload": {"framing": "frame"},
            "slices": [{"requests_total": answered}]}
    totals = {"accepted": 10, "requests": 100, "errors": {}, **stopped}
    return check_totals(cell, SimpleNamespace(variant=SimpleNamespace(is_foreign=command is not None), stopped=totals))


def test_agreement_says_nothing():
    assert checks() == []
    assert checks(requests=150, accepted=12) == [], "warm-up is the server's to count, too"


@pytest.mark.parametrize("stopped, said", [
    ({"requests": 99}, "counted 99 requests, the client had 100"), ({"accepted": 9}, "accepted 9 connections"),
    ({"errors": {"short_input": 3}}, "3 short_input"), ({"errors": {"reset": 1}}, "1 reset")])
def test_contradictions_are_reported(stopped, said):
    assert len(checks(**stopped)) == 1 and said in checks(**stopped)[0]


def test_resets_are_how_crr_ends():
    assert checks("crr", errors={"reset": 1000}) == []


def test_a_server_that_died_is_reported_and_a_foreign_one_has_no_totals():
    cell = {"load": "closed-loop", "connections": {"opened": 1}, "workload": {"framing": "frame"}, "slices": []}
    silent = SimpleNamespace(variant=SimpleNamespace(is_foreign=False), stopped=None)
    assert "did not print its totals" in check_totals(cell, silent)[0]
    assert checks(command=("./mine",), requests=0) == []
