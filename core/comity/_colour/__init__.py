"""The few things that the two colours do differently, as pairs of the same shape."""
