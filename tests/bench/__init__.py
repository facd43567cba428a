"""What a unit of work costs, beside what a user would choose instead: ``python -m tests.bench --help``."""
