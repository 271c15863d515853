"""Pictures and video: reading them safely and preparing them for models."""
