"""The rows of versions and promotions."""

from typing import NamedTuple


class PromotionId(NamedTuple):
    """Identifies a promotion: after a failover that lost commits, an `id` can come again."""

    id: int
    at: float
