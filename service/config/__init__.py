"""The settings: environment variables `STREETLIGHT_…`."""
