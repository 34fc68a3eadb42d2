"""Workloads: what they are sorted by."""

from echobench_lib.result.workload import Workload


def test_rates_are_sorted_as_numbers_shares_first():
    rates = ["25000", "70%", "12.5%", "9000", "10%", "2%"]
    workloads = [Workload.from_json({
        "load": "equal-load", "connections": {"asked": 100},
        "workload": {"payload_bytes": 64, "framing": "frame", "pipeline": 1, "rate": rate}}) for rate in rates]
    in_order = [workload.rate for workload in sorted(workloads, key=lambda workload: workload.order)]
    assert in_order == ["2%", "10%", "12.5%", "70%", "9000", "25000"]
