"""Normalisation with a map back to what the user typed, and masking."""
