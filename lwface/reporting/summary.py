"""The sentences on top of a report: what a reader without the field's words wants to know, with how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from lwface.reporting.markup import far_text, minus, name, one_in
from lwface.scoring.intervals import Difference, Interval
from lwface.scoring.operating_points import OperatingPoint
from lwface.scoring.tar_far_result import TarFarResult

FEWEST_FALSE_ACCEPTS = 10  # with fewer, a threshold hangs on single pairs
OFTEN = "(in 95 of 100 cases)"
POOR = 0.2  # equal error rate from which on a reader is told what guessing gives


def summary(evaluations: Sequence[TarFarResult], differences: Sequence[Difference]) -> str:
    """Two sentences or a few, as HTML."""
    far = telling_far(evaluations[0])
    if far is None:
        pairs = f"{evaluations[0].impostor_pairs:,}"
        sentences = [f"With {pairs} pairs of strangers, none of the FARs asked for can be told: ask for a larger one."]
    elif len(evaluations) == 1:
        sentences = [_recognised(evaluations[0], far), _equal_error(evaluations[0])]
    else:
        sentences = [_recognised(_best(evaluations, far), far), *_compared(evaluations, differences, far)]
    text = "".join(f"<p>{sentence}</p>" for sentence in sentences if sentence)
    return f'<section class="lead" id="summary" aria-label="In short">{text}</section>'


def telling_far(evaluation: TarFarResult) -> Fraction | None:
    """The strictest FAR that lets in pairs enough to be told; the loosest resolvable one where none does."""
    solved = [point for point in evaluation.points if point.tar is not None]
    enough = [point.far for point in solved if point.far * point.impostor_pairs >= FEWEST_FALSE_ACCEPTS]
    return min(enough) if enough else max((point.far for point in solved), default=None)


def percent(rate: float) -> str:
    """A share in hundredths, to the tenth; closer where a tenth would round it to all or nothing."""
    for digits in (1, 2, 3):
        text = f"{100 * rate:.{digits}f}"
        if rate in (0, 1) or float(text) not in (0, 100):
            break
    return f"{text} %"


def _point(evaluation: TarFarResult, far: Fraction) -> OperatingPoint | None:
    found = [point for point in evaluation.points if point.far == far and point.tar is not None]
    return found[0] if found else None


def _best(evaluations: Sequence[TarFarResult], far: Fraction) -> TarFarResult:
    def tar(evaluation: TarFarResult) -> float:
        point = _point(evaluation, far)
        return -1 if point is None or point.tar is None else point.tar

    return max(evaluations, key=tar)


def _recognised(evaluation: TarFarResult, far: Fraction) -> str:
    point = _point(evaluation, far)
    if point is None or point.tar is None:
        return ""
    few = ""
    if point.far * point.impostor_pairs < FEWEST_FALSE_ACCEPTS:
        few = " That is a matter of so few pairs of strangers that it is a first impression only."
    return (
        f"<b>{name(evaluation.name)}</b> recognises <b>{percent(point.tar)}</b> of the pairs of one person while at "
        f"most <b>{one_in(float(far))}</b> pairs of strangers gets in{_around(point.interval, evaluation)}.{few}"
    )


def _around(interval: Interval | None, evaluation: TarFarResult) -> str:
    if interval is None:
        why = f" ({evaluation.no_intervals})" if evaluation.no_intervals else ""
        return f"; how sure that is, is not known{why}"
    low, high = (percent(end) for end in interval)
    return f"; with other people like these, {low} to {high} {OFTEN}"


def _equal_error(evaluation: TarFarResult) -> str:
    if evaluation.error_rates is None:
        return ""
    figure = evaluation.error_rates.equal
    exact = "" if figure.exact else ", strangers by a sample"
    weak = " Guessing is wrong in 50 %." if figure.rate > POOR else ""
    return (
        f"Where both kinds of error are equally frequent, <b>{percent(figure.rate)}</b> of the pairs are judged wrong "
        f"(the equal error rate{exact}){_around(figure.interval, evaluation)}.{weak}"
    )


def _compared(evaluations: Sequence[TarFarResult], differences: Sequence[Difference], far: Fraction) -> list[str]:
    """A sentence for each difference at ``far``; none where nothing was compared."""
    return [_difference(found, differences, far) for found in differences if found.far == far]


def _difference(found: Difference, all_of_them: Sequence[Difference], far: Fraction) -> str:
    first, second = name(found.first), name(found.second)
    at = f"with {one_in(float(far))} strangers let in"
    if found.difference is None:
        return f"{second} and {first} cannot be compared {at}: that is not resolvable."
    ahead, behind = (second, first) if found.difference > 0 else (first, second)
    size = points(abs(found.difference))
    if found.interval is None:
        return f"{ahead} recognises {size} more than {behind} {at}; whether that is chance is not known: no interval."
    low, high = found.interval if found.difference > 0 else (-found.interval.high, -found.interval.low)
    others = f"with other people like these, {points(low, high)} {OFTEN}"
    if found.better is None:
        return (
            f"<b>Which of {second} and {first} is better cannot be told</b> from these people: {ahead} recognises "
            f"{size} more {at}; {others}."
        )
    return (
        f"<b>{ahead} is better than {behind}</b>: it recognises {size} more {at}, which is not chance: {others}."
        f"{_otherwise(found, all_of_them)}"
    )


def _otherwise(found: Difference, all_of_them: Sequence[Difference]) -> str:
    """Where another FAR tells the contrary."""
    contrary = [
        far_text(other.far)
        for other in all_of_them
        if (other.first, other.second) == (found.first, found.second) and other.better not in (None, found.better)
    ]
    return f" At FAR {' and '.join(contrary)} it is the other way round." if contrary else ""


def points(*shares: float) -> str:
    """A difference of shares, or the ends of one, in words."""
    return f"{' to '.join(minus(f'{100 * share:.1f}') for share in shares)} percentage points"
