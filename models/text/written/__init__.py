"""Sentences that the project writes itself, where permissive data has gaps: a seeded grammar over lists."""
