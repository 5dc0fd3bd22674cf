"""Replicator: an offline compiler from a declarative language of islands and routes to Kubernetes manifests."""

__version__ = "0.1.0"
