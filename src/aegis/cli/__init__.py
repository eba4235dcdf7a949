"""The command line: processes, the loop, the record, keys, the sandbox and one's own tables.

Run as `aegis` or `python -m aegis.cli`. Commands live in modules of their own, imported when they are called.
"""
