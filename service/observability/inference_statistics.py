"""Statistics of inference requests, summed from the same samples as the metrics."""

from dataclasses import dataclass

from streetlight.service.observability.metrics import collect


@dataclass(frozen=True)
class Statistics:
    """What there was to do for a version; times are in nanoseconds.

    One request is one execution. `success_ns` is the sum of the three phases.
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
    """Return the statistics of each version that was asked, summed over all workers.

    They come from the same samples as `exposition`.
    """
    found: dict[int, dict[str, float]] = {}
    for metric in collect():
        for sample in metric.samples:
            if "version" in sample.labels:
                sums = found.setdefault(int(sample.labels["version"]), {})
                kinds = (sample.labels.get(name) for name in ("decision", "result", "phase"))
                kind = next(filter(None, kinds), sample.name)
                sums[kind] = sums.get(kind, 0) + sample.value
    return {version: _statistics(sums) for version, sums in sorted(found.items())}


def _statistics(sums: dict[str, float]) -> Statistics:
    def whole(kind: str, unit: float = 1) -> int:
        return round(sums.get(kind, 0) * unit)

    phases = [whole(phase, 1e9) for phase in ("input", "infer", "output")]
    return Statistics(
        success_count=whole("success"),
        success_ns=sum(phases),
        fail_count=whole("failure"),
        fail_ns=whole("streetlight_inference_failed_seconds_total", 1e9),
        inference_count=whole("walk") + whole("stop"),
        execution_count=whole("success"),
        compute_input_ns=phases[0],
        compute_infer_ns=phases[1],
        compute_output_ns=phases[2],
        last_inference_ms=whole("streetlight_last_inference_timestamp_seconds", 1e3),
    )
