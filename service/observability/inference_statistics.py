"""Statistics of inference requests for the V2 protocol, computed from the metrics."""

from dataclasses import dataclass

from streetlight.service.observability.metrics import collect


@dataclass(frozen=True)
class Statistics:
    """The inference requests of one version since the server started.

    Attributes:
        success_count: requests that succeeded.
        success_ns: nanoseconds that they took: the sum of the three phases.
        fail_count: requests that failed.
        fail_ns: nanoseconds that they took.
        inference_count: light states that were predicted.
        execution_count: executions of the network, one for each successful request.
        compute_input_ns: nanoseconds before the network: parsing and validation.
        compute_infer_ns: nanoseconds in the network.
        compute_output_ns: nanoseconds after the network: serialisation.
        last_inference_ms: the time of the last prediction, in milliseconds since 1970.
    """

    success_count: int = 0
    success_ns: int = 0
    fail_count: int = 0
    fail_ns: int = 0
    inference_count: int = 0
    execution_count: int = 0
    compute_input_ns: int = 0
    compute_infer_ns: int = 0
    compute_output_ns: int = 0
    last_inference_ms: int = 0


def inference_statistics() -> dict[int, Statistics]:
    """Return the statistics of each version with requests, summed over all workers.

    Version 0 counts the failed requests that no version could answer.
    """
    sums_by_version: dict[int, dict[str, float]] = {}
    for metric in collect():
        for sample in metric.samples:
            if "version" in sample.labels:
                sums = sums_by_version.setdefault(int(sample.labels["version"]), {})
                kinds = (sample.labels.get(name) for name in ("decision", "result", "phase"))
                kind = next(filter(None, kinds), sample.name)
                sums[kind] = sums.get(kind, 0) + sample.value
    return {version: _statistics(sums) for version, sums in sorted(sums_by_version.items())}


def _statistics(sums: dict[str, float]) -> Statistics:
    def total(kind: str, unit: float = 1) -> int:
        return round(sums.get(kind, 0) * unit)

    phases = [total(phase, 1e9) for phase in ("input", "infer", "output")]
    return Statistics(
        success_count=total("success"),
        success_ns=sum(phases),
        fail_count=total("failure"),
        fail_ns=total("streetlight_inference_failed_seconds_total", 1e9),
        inference_count=total("walk") + total("stop"),
        execution_count=total("success"),
        compute_input_ns=phases[0],
        compute_infer_ns=phases[1],
        compute_output_ns=phases[2],
        last_inference_ms=total("streetlight_last_inference_timestamp_seconds", 1e3),
    )
