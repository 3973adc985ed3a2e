"""Names that differ in one part: what else a thing may be called, after names that are known.

Parts that stand between the same words can stand for one another wherever one of them does: after "red ball", "red
cube" and "green cube", a green ball is conceivable though none is known. Names are ids, so that this holds in any
language and for words of several ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

LONGEST = 8  # ids of a part

Ids = tuple[int, ...]


class Variants:
    """What differs in one part from a name.

    Args:
        names: the ids of each known name.

    >>> red, green, ball, cube = range(4)
    >>> Variants([[red, ball], [red, cube], [green, cube]]).of([green, cube])
    [(0, 3), (0, 2), (1, 2)]
    """

    def __init__(self, names: Iterable[Sequence[int]]) -> None:
        self._around: dict[Ids, list[tuple[Ids, Ids]]] = {}  # of each part, what it stands between
        self._between: dict[tuple[Ids, Ids], list[Ids]] = {}
        for name in dict.fromkeys(map(tuple, names)):
            for before, part, after in _parts(name):
                self._around.setdefault(part, []).append((before, after))
                self._between.setdefault((before, after), []).append(part)

    def of(self, name: Sequence[int]) -> list[Ids]:
        """Names like this one but for one part, whether they are known or not, and of a known one all known ones;
        without itself."""
        out: dict[Ids, None] = {}
        for before, part, after in _parts(tuple(name)):
            for around in self._around.get(part, ()):
                if any(around) or not (before or after):  # a whole name is no part of another
                    out.update(dict.fromkeys((*before, *other, *after) for other in self._between[around]))
        out.pop(tuple(name), None)
        return list(out)


def are_near(one: Sequence[int], two: Sequence[int]) -> bool:
    """Whether two names are the same but for one part: one id, or up to a third of them in languages whose words are
    several.

    >>> large, red, blue, ball, cube = range(5)
    >>> [are_near([large, red, ball], other) for other in ([large, blue, ball], [large, blue, cube], [ball])]
    [True, False, False]
    """
    first = alike(one, two)
    both = first + alike(one[first:][::-1], two[first:][::-1])
    longer = max(len(one), len(two))
    return both > 0 and longer - both <= max(1, longer // 3)


def alike(one: Sequence[int], two: Sequence[int]) -> int:
    """How many ids of two names are the same from the beginning on."""
    return next((place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


def _parts(name: Ids) -> Iterator[tuple[Ids, Ids, Ids]]:
    """Each part of a name, with what stands before and after it."""
    for start in range(len(name)):
        for end in range(start + 1, min(len(name), start + LONGEST) + 1):
            yield name[:start], name[start:end], name[end:]
