"""Against what hdr-histogram-js 3.0.1 encoded and said of the same samples."""

import base64

import pytest

from echobench_lib.result import histogram as hdr

# 1, 2, ... 100,000 microseconds and three times 50 s, in nanoseconds, three significant digits
LONG = (
    "HISTFAAAASt4nO2PwUrDQBCGZ//ENlRKgj0oaCAUrz5BKUhOfRevpVC8ldw9iA/gSfoEfYriUwhePXmVJqnaJKsxZBdb/pns7M4/O/NlL5L7gcjl"
    "mYgoEXEks835dDJ7lW3+7GPt48HDSxePLt6c/HsC3lXFt1S4xfyHdYMRRhinsdl+hXOECL9F+7mPPo7Rz/3rVK0ear2Lo9SdfN/1+ir797/fgRS8"
    "JOi89kUTMwknnPAWZhbNLSk6M3CTcMIJtwl3i9YpKWZEWxzCCSdcK3qZ9TyvdKoUfymbHUQ44YS3OigIToKgOrRWsYAgnHDCGwyKomE0/AxmEgsI"
    "wgknvEFvfB3HcRq2S5/84WorfYQTTrjZvkQtVKKyqFtNKvvS93/+hC/ny032TVd3qvMBfFJElg==")
# 400 values of (37 i^2) mod 90,000 + 5
SHORT = (
    "HISTFAAAAcB4nDWRv2oUURSHz/3uPQyXyzAMwzCEdViGMIQlLEFShEUWkSXExcpSRFJbiQiGFBYBwSJFiiBWKSx8AJ8hdd5AsBBB8CGUe3YzMMw9"
    "/37nu7958PG6EeGHiDgR8bJ58rl7+v6P3McxnHDjeMRPKLl19Bzxy/FF+ass+ac0fGCPO8dFYMGF45PjN1wqc464DJzS0PGSU1qWXMF3hzLQcsyC"
    "t5zzhJFvjs+ONXMq3tGzZsGMgYdEOGdAOKDgjMghHft4nnHteM0bJqYnDDynZoevjpKIZtHIFM8JFST2SHDGmoIOzw4LCqNah5raconWKp45Ncor"
    "RoQClBZBmdl1hBkrdokkOg6spcDT0JBIRFaULFGOmXLl6IDeBCrU2vPb4zncRnMSU0ompDBiCOzmvRI8yoqGEgpbKfgclAxU2SCxXISI31x1nxYN"
    "xhTzB7zNDDymMqkpmosoiYmpVsYyYbBsQYlio2UeDyMNfUh4M+ZFziaabEywPt3yVGb5aFKeDZdZaMfqHsuAvHkpwQfJZWgp8YHKYD0asqrR9RsV"
    "H4qtVjaBKuS6Bvvx2V6lzgutJwZbl4GLEK2ktjsF4T/ooTFV")


@pytest.mark.parametrize("text, percent, value", [
    (LONG, 50, 50003967), (LONG, 90, 90046463), (LONG, 99, 99024895), (LONG, 99.9, 99942399),
    (LONG, 99.99, 100007935), (LONG, 100, 50029658111),
    (SHORT, 10, 6379), (SHORT, 50, 42367), (SHORT, 90, 79551), (SHORT, 99, 89215), (SHORT, 100, 89983)])
def test_percentiles_agree_with_another_implementation(text, percent, value):
    assert hdr.decode(text).at(percent) == value


def test_a_percentile_needs_a_hundred_samples_beyond_it():
    histogram = hdr.decode(LONG)
    assert histogram.total == 100_003
    assert histogram.percentile(99.9) is not None   # 100.003 beyond
    assert histogram.percentile(99.91) is None      # 90.0 beyond
    assert hdr.decode(SHORT).percentile(75) is not None  # exactly 100
    assert hdr.decode(SHORT).percentile(76) is None


@pytest.mark.parametrize("text", [LONG, SHORT])
@pytest.mark.parametrize("digits, within", [(2, 0.01), (1, 0.1), (3, 0)])
def test_coarser_ones_have_the_same_samples_within_their_digits(text, digits, within):
    fine, coarse = hdr.decode(text), hdr.decode(hdr.coarser(text, digits))
    assert coarse.total == fine.total and (len(coarse.values) < len(fine.values) or digits == 3)
    for percent in (1, 25, 50, 75, 90, 99, 99.9, 100):
        assert coarse.at(percent) == pytest.approx(fine.at(percent), rel=within)
    assert hdr.coarser(hdr.coarser(text, digits), digits) == hdr.coarser(text, digits)


def test_merging_adds_samples():
    merged = hdr.merge([hdr.decode(LONG), hdr.decode(LONG)])
    assert merged.total == 200_006
    assert merged.at(50) == hdr.decode(LONG).at(50)
    assert merged.percentile(99.94) is not None


@pytest.mark.parametrize("text", ["", "A", "AAAA", "AAAAAAAAAAAAAAAA", LONG[:100], LONG[:40] + "AAAA" + LONG[44:],
                                  base64.b64encode(base64.b64decode(LONG)[:30]).decode()])
def test_what_is_not_a_histogram_is_refused(text):
    with pytest.raises(ValueError):
        hdr.decode(text)
