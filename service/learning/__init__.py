"""The learning loop: job queue, lease, job runner, promotion gate, trainer process."""
