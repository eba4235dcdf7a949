"""The record that an outsider can check: entries as canonical bytes, a Merkle tree over them, signed checkpoints.

Pure: values in, values out; `storage.audit` keeps them in PostgreSQL and `aegis_verify` checks them without Aegis.
The record is tamper-evident: changes are found, not prevented.
"""
