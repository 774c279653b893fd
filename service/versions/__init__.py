"""Read trained versions: catalog, comparison, verification."""
