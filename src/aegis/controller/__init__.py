"""The controller: the closed loop. Stages in the order of the loop, one transaction each, under leases and fences."""
