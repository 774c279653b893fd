"""The webhook: report events to a receiver, signed, until it has confirmed them."""
