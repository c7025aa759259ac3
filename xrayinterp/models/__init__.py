"""Models by name: weights in, a frozen module with a card out."""
