"""A simulated Kubernetes API: objects, controllers and the wire protocol that kubectl and client libraries speak.

`aegis sandbox` and the tests serve it; the shop's physics drives it in process through `cluster.Cluster`.
It never runs a container and never reads a clock of its own.
"""
