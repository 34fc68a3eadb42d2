"""What other programs used of the servers' CPUs."""

import subprocess
import sys

import psutil
import pytest

from echobench_lib.run.other_programs import Reading, read, share

FOR_A_WHILE = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"


@pytest.mark.parametrize("busy, ours, cpus, expected", [
    (2.0, 2.0, 1, 0.0),   # nobody else
    (2.0, 0.5, 1, 0.75),
    (2.0, 0.5, 2, 0.375),
    (1.9, 2.0, 1, 0.0),   # the two are counted with different clocks
    (2.5, 0.0, 1, 1.0)])
def test_their_share_is_what_was_used_less_what_our_servers_did(busy, ours, cpus, expected):
    assert share(Reading(10, 100, 7), Reading(12, 100 + busy, 7 + ours), cpus) == pytest.approx(expected)


def test_it_is_not_known_of_a_server_that_has_ended():
    known = Reading(10, 100, 7)
    assert share(None, known, 1) is None and share(known, None, 1) is None and share(known, known, 1) is None
    with subprocess.Popen(["true"]) as ended:
        pass
    assert read([0], [ended.pid]) is None
    assert read([10**6], []) is None, "nor of a CPU that is not here"


def test_what_a_server_uses_is_ours_and_so_is_what_it_starts():
    started = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {FOR_A_WHILE!r}])\n"
    cpus = range(len(psutil.cpu_times(percpu=True)))
    for work in (FOR_A_WHILE, started):
        with subprocess.Popen([sys.executable, "-c", f"input()\n{work}input()"], stdin=subprocess.PIPE) as process:
            before, without = read(cpus, [process.pid]), read(cpus, [])
            process.stdin.write(b"\n")
            process.stdin.flush()
            while read(cpus, [process.pid]).ours - before.ours < 0.25:
                pass
            after, after_without = read(cpus, [process.pid]), read(cpus, [])
            process.stdin.write(b"\n")
            process.stdin.close()
        counted, uncounted = share(before, after, len(cpus)), share(without, after_without, len(cpus))
        assert counted < uncounted or uncounted == 1, "next to other programs, too"
