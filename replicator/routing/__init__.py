"""Routings, whatever the provider: rules in order, what is true of them, and which of them a request reaches."""
