"""How looking up behaves when a bridge has many runs."""
