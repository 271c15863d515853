"""The decision: budget, plan, evaluation and verdict, without I/O or transport types."""
