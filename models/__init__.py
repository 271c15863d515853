"""Bundles that the server loads, and the recipes that made them."""
