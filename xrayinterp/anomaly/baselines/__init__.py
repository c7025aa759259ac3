"""Known detectors on the same features, to measure the distillation against."""
