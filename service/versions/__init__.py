"""Views on trained versions: catalog, comparison, verification."""
