"""Pareto fronts of figures that are the better the lower."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Point = Sequence[float]
T = TypeVar("T")


def dominates(one: Point, other: Point) -> bool:
    """Say whether one point is nowhere worse than another and somewhere better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def front_of(items: Sequence[T], point: Callable[[T], Point]) -> list[T]:
    """Return the items that no other dominates, in their order; of equal ones the first.

    Args:
        items: any.
        point: the figures of one.
    """
    points = [tuple(point(item)) for item in items]
    return [
        item
        for number, item in enumerate(items)
        if not any(dominates(other, points[number]) for other in points) and points[number] not in points[:number]
    ]


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """Return the volume that points dominate within a reference point.

    By slices along the first figure (While, Hingston, Barone & Huband 2006, IEEE TEC 10:29, "HSO"): exact, and quick
    enough for the fronts of searches.

    Args:
        points: as many figures each as *reference* has; what lies beyond it counts for nothing.
        reference: the worst of what counts.
    """
    inside = [tuple(point) for point in points if all(a < b for a, b in zip(point, reference, strict=True))]
    if not inside:
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - min(point[0] for point in inside))
    inside.sort()
    ends = [*(point[0] for point in inside[1:]), reference[0]]
    return sum(
        (end - point[0]) * hypervolume([other[1:] for other in inside[: number + 1]], reference[1:])
        for number, (point, end) in enumerate(zip(inside, ends, strict=True))
        if end > point[0]
    )


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, ties at their mean rank; None where one of the two does not vary.

    Args:
        one: values.
        other: as many values.
    """
    first, second = _ranks(one), _ranks(other)
    mean = (len(first) - 1) / 2
    products = [sum((a - mean) * (b - mean) for a, b in zip(x, y, strict=True)) for x, y in _pairs(first, second)]
    covariance, variance, variance_of_other = products
    if not variance or not variance_of_other:
        return None
    return float(covariance / (variance * variance_of_other) ** 0.5)


def _pairs(first: list[float], second: list[float]) -> tuple[tuple[list[float], list[float]], ...]:
    return (first, second), (first, first), (second, second)


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]
