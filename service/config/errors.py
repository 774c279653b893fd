"""The error of a setting that can't be used."""


class SettingsError(ValueError):
    """A setting is unknown or has an unusable value; the message names the setting."""
