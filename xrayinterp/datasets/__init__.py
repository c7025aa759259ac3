"""Data sets by manifest: films with labels, boxes, masks and splits; synthetic films; public examples."""
