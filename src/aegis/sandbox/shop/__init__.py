"""The shop: six services with dependencies and a daily rhythm, and the physics that turns load into metrics."""
