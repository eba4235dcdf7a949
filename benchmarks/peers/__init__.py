"""The policy workload, the engines it is put to and how they are timed; `benchmarks/policy.py` prints the table."""
