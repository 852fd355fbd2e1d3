"""What flow tests of the two colours do differently, as pairs of the same shape."""
