"""The page: what Gradio hosts, its viewer, and what its buttons do."""
