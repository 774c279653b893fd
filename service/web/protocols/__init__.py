"""The REST protocols of other model servers: V1, V2 (Open Inference Protocol), `/invocations`."""
