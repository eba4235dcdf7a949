"""Samples of the simulated cluster: kept in memory, queried by PromQL, shown as a scrape target.

The world appends one column per scrape; the Prometheus API and `/metrics` read. Nothing here knows what a series means.
"""
