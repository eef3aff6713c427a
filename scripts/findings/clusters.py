"""How sure a mean over prompts is, as src/score/clusters.rs computes it: docs/scores.md, "How sure"."""
from collections import defaultdict
from statistics import NormalDist, mean

Z = NormalDist().inv_cdf(0.975)
PLACES = 5


def t_975(df):
    """The quantile of Student's t that leaves 2.5 % above."""
    n = max(df, 1.0)
    if n < 2:
        return 4.302653 + (12.706205 - 4.302653) * (2 / n - 1)
    z2 = Z * Z
    terms = [
        (z2 + 1) / 4,
        ((5 * z2 + 16) * z2 + 3) / 96,
        (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384,
        ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160,
    ]
    total = 0.0
    for term in reversed(terms):
        total = (total + term) / n
    return Z * (1 + total)


def interval(values, needles, places):
    """95 % of the mean of values, lists of one length: what each prompt is about, and where it stands."""
    n, middle = len(values), mean(values)
    if n < 2:
        return middle, middle

    def of(clusters):
        sums = defaultdict(float)
        for cluster, value in zip(clusters, values):
            sums[cluster] += value - middle
        count = len(sums)
        if count in (1, n):
            return 0.0, count
        return sum(s * s for s in sums.values()) * count / (count - 1) / n**2, count

    probe = sum((v - middle) ** 2 for v in values) / (n - 1) / n
    (needle, needles_n), (place, places_n) = of(needles), of(places)
    # Fewer places are those that are meant, and no sample of others.
    place = place if places_n >= PLACES else 0.0
    both = needle + place - probe if needle > 0 and place > 0 else 0.0
    variance = max(both, needle, place, probe)
    parts = [(needle, needles_n), (place, places_n), (probe, n)]
    total = sum(part * part / (count - 1) for part, count in parts if part > 0 and count > 1)
    half = t_975(variance**2 / total if total > 0 else n - 1) * variance**0.5
    return middle - half, middle + half
