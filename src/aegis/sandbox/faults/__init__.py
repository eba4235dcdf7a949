"""Faults of the simulated cluster, one file each: true physics, true cure, and traps for the wrong fix."""
