"""From the model to trees of Kubernetes objects; each emitter is blind to the others."""
