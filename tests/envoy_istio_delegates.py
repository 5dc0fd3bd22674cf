"""Merges the rules of a delegate VirtualService of Istio into the rule that delegates to it.

As istio/istio does it in mergeHTTPRoutes; where that drops a rule without a word, this raises.
"""

from typing import Any

from envoy import Fields, Object, Refused
from envoy_istio_parts import match

# Of the root rule, where the delegate's rule has none of its own; as a whole.
INHERITED = (
    *("rewrite", "directResponse", "timeout", "retries", "fault"),
    *("mirror", "mirrorPercentage", "mirrors", "corsPolicy", "headers"),
)
STRINGS = ("uri", "scheme", "method", "authority")
MAPS = ("headers", "withoutHeaders", "queryParams")


def delegated(root: Fields, rules: list[Object]) -> list[Fields]:
    """The rules that stand in the place of the root's one, whose `delegate` is read already."""
    root.skip("name")
    for name in ("route", "redirect"):
        if name in root:
            raise Refused(f"{root.where}: root HTTP route must not specify {name}")
    matches = root.take("match", [])
    for at, item in enumerate(matches):  # also what all rules replace is to be right
        fields = Fields(item, f"{root.where}.match[{at}]")
        match(fields)
        fields.finish()
    inherited = {name: root.take(name) for name in INHERITED if name in root}
    root.finish()
    if not rules:
        raise Refused(f"{root.where}: delegates to a VirtualService without rules")
    for name in inherited:
        if all(name in rule for rule in rules):
            raise Refused(f"{root.where}: {name} has no effect, all rules of the delegate have their own")
    merged = []
    for at, rule in enumerate(rules):
        where = f"{root.where}.delegate.http[{at}]"
        if "delegate" in rule:
            raise Refused(f"{where}: delegate HTTP route cannot contain delegate")
        merged.append(Fields({**inherited, **rule, "match": _matches(matches, rule.get("match", []), where)}, where))
    return merged


def _matches(root: list[Object], rule: list[Object], where: str) -> list[Object]:
    """Each match of the rule with each of the root that it does not contradict."""
    if not root or not rule:
        return root or rule
    merged = []
    for of_rule in rule:
        fitting = [of_root for of_root in root if not _conflict(of_root, of_rule)]
        if not fitting:
            raise Refused(f"{where}: Istio drops it, as its match {of_rule} is within none of the root's")
        merged += [_merged(of_root, of_rule) for of_root in fitting]
    return merged


def _merged(root: Object, rule: Object) -> Object:
    maps = {name: {**root.get(name, {}), **rule.get(name, {})} for name in MAPS if name in root or name in rule}
    return {**root, **rule, **maps}


def _conflict(root: Object, rule: Object) -> bool:
    strings = [(root.get(name), rule.get(name)) for name in STRINGS]
    for name in MAPS:
        strings += [(root.get(name, {}).get(key), value) for key, value in rule.get(name, {}).items()]
    ports = {item["port"] for item in (root, rule) if item.get("port")}
    cases = {item.get("ignoreUriCase", False) for item in (root, rule)}
    return len(ports) > 1 or len(cases) > 1 or any(_contradict(*pair) for pair in strings)


def _contradict(root: dict[str, Any] | None, rule: dict[str, Any] | None) -> bool:
    """Whether what the rule asks of a value is not, for all that Istio sees, within what the root asks."""
    if root is None or rule is None:
        return False
    if root.get("exact"):
        return bool(rule.get("prefix") or rule.get("exact") != root["exact"])
    if root.get("prefix"):
        inner = rule.get("prefix") or rule.get("exact")
        return not (inner and inner.startswith(root["prefix"]))
    return True  # regexes and presence are not compared
