"""Is this map to be believed? Measured on the very film, and over data sets."""
