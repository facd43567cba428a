"""A long run of mixed traffic: ``python -m tests.soak --minutes 30``."""
