"""Torch, one level below methods: taps, intercepted operators, batching."""
