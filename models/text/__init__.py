"""Recipes of the text bundles: pinned inputs in, a quantised, calibrated and evaluated bundle out."""
