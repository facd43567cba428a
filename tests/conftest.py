"""What every test has in common."""

from __future__ import annotations

import os

from hypothesis import settings

# A machine that is busy makes an example slow, not wrong.
settings.register_profile("patient", deadline=None)
# A change is judged by the same examples each time; new ones are looked for where somebody can look at what they find.
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
# What differs between interpreters shows in few of them.
settings.register_profile("few", settings.get_profile("ci"), max_examples=15)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "patient"))
