"""The audit log's pure parts: canonical entries, the RFC 9162 Merkle tree over them, and signed checkpoints."""
