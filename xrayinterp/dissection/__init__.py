"""Network dissection: which units fire where a concept is."""
