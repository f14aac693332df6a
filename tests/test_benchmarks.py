"""
Do the benchmarks still run?  (What they say is for people to judge, on a quiet machine.)
"""

from __future__ import annotations


def test_throughput(start_python, checkout):
    """
    A small transfer by each transport that needs no other program, and a table with a row for each.
    """
    benchmark = checkout / "benchmarks" / "throughput.py"
    program = start_python(benchmark, "--megabytes", "3", "--rounds", "1", "--transports", "utp", "tcp")
    program.wait_for_line("^3 MB, 1 rounds, medians$", timeout=60)
    for transport in ("utp", "tcp"):
        program.wait_for_line(rf"^{transport} +\d+ +\(\d+-\d+\) +\d+\.\d\d +\d+\.\d\d$")
    program.wait_for_exit()
