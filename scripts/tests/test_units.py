import pytest

from echobench_lib import units


@pytest.mark.parametrize("text, ns", [("250us", 250_000), ("1.5s", 1_500_000_000), ("5min", 300 * 10**9),
                                      ("2m", 120 * 10**9), ("7ns", 7)])
def test_times(text, ns):
    assert units.parse_time_ns(text) == ns


@pytest.mark.parametrize("text, count", [(64, 64), ("10k", 10_000), ("64Ki", 65_536), ("1.5k", 1500), ("0", 0)])
def test_counts(text, count):
    assert units.parse_count(text) == count


@pytest.mark.parametrize("parse, text", [(units.parse_time_ns, "5"), (units.parse_time_ns, "-1s"),
                                         (units.parse_count, "0.5"), (units.parse_count, "many")])
def test_what_is_no_quantity_is_refused(parse, text):
    with pytest.raises(ValueError, match=text):
        parse(text)


def test_figures_keep_three_digits():
    assert units.format_time_ns(812) == "812 ns"
    assert units.format_time_ns(3.414) == "3.41 ns"
    assert units.format_time_ns(42_345) == "42.3 µs"
    assert units.format_time_ns(1_250_000_000) == "1.25 s"
    assert units.format_bytes(209) == "209 B"
    assert units.format_bytes(26_764) == "26.1 KiB"
    assert units.format_bytes(-2048) == "-2.00 KiB"
    assert units.format_bytes(5 << 30) == "5.00 GiB"
    assert units.format_seconds(245) == "4:05"


@pytest.mark.parametrize("value, digits, text", [
    (0.01234, 2, "0.012"), (9.996, 3, "10.0"), (0, 3, "0"), (-0.5, 2, "-0.50"), (12_345, 2, "12,345")])
def test_significant_digits(value, digits, text):
    assert units.significant(value, digits) == text
