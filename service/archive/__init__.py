"""Archives of everything that is stored, and what can be removed."""
