"""The controllers of the simulated cluster: Deployment → ReplicaSet → Pod, and a kubelet that runs pods."""
