"""All SQL of the control plane: tables, migrations and plain functions that take a connection.

Only `api` and `controller` (and the command line, to start things) import it. Whoever changes state appends the
audit entry in the same transaction.
"""
