"""What every test has in common."""

from __future__ import annotations

from hypothesis import settings

# A machine that is busy makes an example slow, not wrong.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
