"""modgate: an inline moderation gate for chat."""

__version__ = "0.1.0"

__all__ = ["__version__"]
