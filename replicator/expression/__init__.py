"""Expressions in scalars: `template` splits text from expressions, `program` reads and runs those that need jinja2."""
