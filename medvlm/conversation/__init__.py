"""Questions → calls of tools: the grammar, and a reader that learns it."""
