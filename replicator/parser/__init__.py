"""From text to the model: `source` reads nodes, `schema` judges their form, `decode` builds the model."""
