"""What holds for all tests."""

import os

from hypothesis import settings

# No test fails for being slow on a busy machine. MODGATE_HYPOTHESIS=deep searches long, e.g. over night.
settings.register_profile("quick", deadline=None, max_examples=25)
settings.register_profile("deep", deadline=None, max_examples=3_000)
settings.load_profile(os.environ.get("MODGATE_HYPOTHESIS", "quick"))
