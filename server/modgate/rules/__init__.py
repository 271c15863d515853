"""Rules and lists: schema, loading, compiling into an immutable ruleset."""
