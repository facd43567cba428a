"""What happened and what is happening: counters, the table of live sessions, the log of ended ones."""
