"""How trained versions are kept: version files, the live link, the promotion log."""
