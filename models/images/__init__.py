"""Recipes of the optional image bundles: from published weights to an ONNX file that their manifests pin."""
