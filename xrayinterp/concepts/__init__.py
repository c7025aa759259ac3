"""Probe sets: which films and which masks are which concept."""
