"""Rules by dotted names, for data of any kind: mappings as they were decoded, and plain objects.

::

    orders = Validator(
        {
            "customer.mail": Condition(email, message="{name} must be a mail address"),
            "lines.*.sku": [Required(), Text(min=1, max=20)],
            "ship_by": Compare(">", ValueOf("ordered"), optional=True),
        },
        scenes={"basket": ["lines.*.sku"]},
    )
    orders.check(data)                          # the data, or Invalid with everything that is wrong
    orders.validate_all(data, scene="basket").errors
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from greenimi.validate.dotted import ABSENT, dig, places, put
from greenimi.validate.problems import MOST_PROBLEMS, Problem, refusal
from greenimi.validate.rules import Required, Rule


@dataclass(frozen=True, slots=True)
class Failed:
    """A rule that was broken: the ``name`` it stands under, the ``path`` of the value, and what is told about it."""

    name: str
    path: str
    rule: Rule
    problem: Problem


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a validation; true when every rule was kept.

    ``data``    what was validated, with the defaults of rules in their places: a copy where there were any
    ``failed``  the broken rules, in order
    ``results`` for each path that was looked at, whether all its rules were kept
    """

    data: Any
    failed: tuple[Failed, ...]
    results: Mapping[str, bool]

    def __bool__(self) -> bool:
        return not self.failed

    @property
    def message(self) -> str:
        """Of the first broken rule; empty when there is none."""
        return self.failed[0].problem.text if self.failed else ""

    @property
    def messages(self) -> list[str]:
        return [each.problem.text for each in self.failed]

    @property
    def errors(self) -> dict[str, list[dict[str, str]]]:
        """For each bad path what is wrong there: ``{"sku": [{"text": ..., "code": ...}]}``."""
        found: dict[str, list[dict[str, str]]] = {}
        for each in self.failed:
            found.setdefault(each.path, []).append({"text": each.problem.text, "code": each.problem.code})
        return found

    def raise_errors(self) -> None:
        """Raise Invalid naming every bad field, or the error that the first broken rule asks for; nothing when all is well."""
        if self.failed:
            raise refusal([each.problem for each in self.failed])


class Validator:
    """Rules for the values at dotted names.  ``*`` is each item of a list; of an empty list there is nothing to check.

    ``scenes``: by name, which of the names above count there.  A validator keeps no state: one serves every thread and greenlet.

    A value that is absent breaks every rule of its name that is not ``optional``.  Where a broken rule has a ``default``, that takes the
    place of the value in ``Outcome.data``, and the rule counts as kept.
    """

    def __init__(self, rules: Mapping[str, Rule | Iterable[Rule]], *, scenes: Mapping[str, Iterable[str]] | None = None) -> None:
        """Raises ValueError for a scene with a name that has no rules."""
        self._rules = {name: (found,) if isinstance(found, Rule) else tuple(found) for name, found in rules.items()}
        self._scenes = {scene: tuple(names) for scene, names in (scenes or {}).items()}
        for scene, names in self._scenes.items():
            unknown = [name for name in names if name not in self._rules]
            if unknown:
                raise ValueError(f"the scene {scene!r} names {unknown[0]!r}, for which there are no rules")

    def check(self, data: Any, *, scene: str = "") -> Any:
        """``data`` with the defaults of rules.  Raises Invalid naming every bad field, or what a rule's ``error`` makes."""
        outcome = self.validate_all(data, scene=scene)
        outcome.raise_errors()
        return outcome.data

    def validate(self, data: Any, *, scene: str = "") -> Outcome:
        """Ask the rules in order until the first that is broken."""
        return self._validate(data, scene, most=1)

    def validate_all(self, data: Any, *, scene: str = "") -> Outcome:
        """Ask every rule, until 50 are broken."""
        return self._validate(data, scene, most=MOST_PROBLEMS)

    def _validate(self, data: Any, scene: str, most: int) -> Outcome:
        failed: list[Failed] = []
        results: dict[str, bool] = {}
        for name, path in self._places(data, scene):
            for rule in self._rules[name]:
                value = dig(data, path)
                problem = _problem(rule, path, value, data)
                if problem is not None and rule.default is not ABSENT and path.count(".") == name.count("."):
                    data, problem = put(data, path, rule.default), None
                results[path] = results.get(path, True) and problem is None
                if problem is not None:
                    failed.append(Failed(name, path, rule, problem))
                    if len(failed) >= most:
                        return Outcome(data, tuple(failed), results)
                    if value is ABSENT:
                        break  # said once
        return Outcome(data, tuple(failed), results)

    def _places(self, data: Any, scene: str) -> Iterator[tuple[str, str]]:
        """The names of a scene, each with every path that it means.  Raises KeyError for a scene that there is not."""
        for name in self._scenes[scene] if scene else self._rules:
            for path, _ in places(data, name):
                yield name, path


def _problem(rule: Rule, path: str, value: Any, data: Any) -> Problem | None:
    if value is ABSENT and not isinstance(rule, Required):
        return None if rule.optional and rule.default is ABSENT else rule.complaint(path, value, data, "is missing", "missing")
    return rule.problem(path, value, data)
