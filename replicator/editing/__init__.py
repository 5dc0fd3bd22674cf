"""Edits of DSL files in place: only what must change is changed, byte for byte."""
