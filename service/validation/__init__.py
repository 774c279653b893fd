"""Input validation: field types, bounds on JSON, and error messages for users."""
