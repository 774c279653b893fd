"""The registry of trained versions: version files, the live link and the promotion log."""
