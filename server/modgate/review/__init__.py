"""History, the flagged queue and reports."""
