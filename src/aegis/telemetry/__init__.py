"""Telemetry: the declared signal catalogue and the sources that fill it."""
