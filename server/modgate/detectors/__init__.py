"""Detectors, one a file, all with the interface of `modgate.detectors.base`."""
