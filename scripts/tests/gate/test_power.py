"""`power`, with programs that give figures made up for them."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from conftest import FAKES, run_echobench

from echobench_lib.gate import builds, power
from echobench_lib.gate.builds import Build

BASE, AGAIN = (Build("main", letter * 40, FAKES) for letter in "ab")


@pytest.fixture
def measured(monkeypatch, tmp_path):
    def measured(*options, **environment):
        monkeypatch.setattr(builds, "build", lambda names, console, **_: [BASE, AGAIN])
        monkeypatch.setattr(builds, "load_generator", lambda sides, console: sides[1])
        done = run_echobench("power", "--budget", "16", "--margin", "5%", "--out", tmp_path / "out", *options,
                             **environment)
        stored = tmp_path / "out" / power.FILE_NAME
        return done, json.loads(stored.read_text()) if stored.exists() else {}, tmp_path / "out"
    return measured


def test_what_burns_more_is_flagged_and_what_costs_the_same_is_not(measured):
    done, stored, folder = measured("--tries", "3", "--same", "2", "--slow-downs", "20%")
    assert done.returncode == 0, done.stdout + done.stderr
    shares = {(share.rule, share.slow_down): (share.flagged, share.tries)
              for share in power.shares(power.from_json(stored))}
    assert shares[power.OURS, 0] == (0, 6) and shares[power.OURS, 0.2] == (3, 3)
    assert shares["U test, earlier base", 0.2][1] == 2, "the first try has none before it"
    assert all(attempt["slow_down"] == pytest.approx(0.2, rel=0.3) for attempt in stored["tries"]
               if attempt["side"].startswith("base+"))
    assert "Tries flagged as costing more: epoll, 100 connections, saturation" in done.stdout
    assert "0 of 6" in done.stdout
    ElementTree.parse(folder / "charts" / "power.svg")


def test_rounds_are_kept_and_never_written_over(measured):
    _, stored, folder = measured("--tries", "1", "--slow-downs", "none")
    assert sorted(path.name for path in (folder / "rounds").iterdir()) == ["pilot", "try-1-1", "try-1-2"]
    (folder / "power.json").unlink()
    done, _, _ = measured("--tries", "1")
    assert done.returncode == 2 and "rounds exists there already" in done.stderr


def test_slow_downs_are_reported_by_what_was_really_burnt(measured):
    done, stored, _ = measured("--tries", "1", "--slow-downs", "10%,20%")
    burnt = sorted(attempt["slow_down"] for attempt in stored["tries"] if attempt["slow_down"])
    assert {side: share for side, share in stored["asked"].items() if share} == {
        next(attempt["side"] for attempt in stored["tries"] if attempt["slow_down"] == slow_down): share
        for share, slow_down in zip((0.1, 0.2), burnt)}
    assert "measured" in done.stdout


def test_a_base_that_cannot_be_measured_is_a_failure_with_its_reason(measured):
    done, _, _ = measured("--tries", "1", FAKE_SILENT="base")
    assert done.returncode == 1 and "epoll, saturation: what a request costs could not be measured" in done.stderr


def test_intervals_are_exact_ones():
    attempt = power.Try("same-1", 0, "unchanged", "1", dict.fromkeys(power.RULES, False))
    stored = power.Power("epoll", 100, "saturation", 60, 0.01, 6000, {"same-1": 0}, [attempt] * 300)
    first = power.shares(stored)[0]
    assert (first.flagged, first.tries, first.low) == (0, 300, 0) and first.high == pytest.approx(0.0122, abs=1e-4)
    assert power.unchanged(stored) == {0: 300}
