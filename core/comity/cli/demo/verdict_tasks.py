"""What the journal proves of the files that were handed out as tasks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from comity.cli.demo.census import Totals
from comity.cli.demo.checks import NOT_SHOWN, Check, last_note, stops
from comity.cli.demo.counting import read_counts

if TYPE_CHECKING:
    from comity.cli.demo.register import Journal

_SHOWN = 3


def tasks(journal: Journal) -> Check:
    """Every file was counted exactly once, whoever was killed or stopped with it."""
    counted, plan = last_note(journal, "counted"), last_note(journal, "plan")
    if counted is None or plan is None:
        return Check("tasks", False, "nothing was counted")
    wanted, files = set(plan.fact["files"]), counted.fact["files"]
    accepted = Counter(note.fact["name"] for note in journal.notes if note.kind == "completed")
    twice = sorted(name for name, times in accepted.items() if times > 1)
    missing = sorted(wanted - set(files))
    bad = [*(f"{name} twice" for name in twice), *(f"{name} not at all" for name in missing)]
    if counted.fact["results"] != len(wanted):
        bad.append(f"{counted.fact['results']} results")
    again = len(counted.fact["again"])
    found = "; ".join(bad[:_SHOWN]) or f"{len(wanted)} files counted once each, {again} of them begun again"
    return Check("tasks", not bad, found, {"files": len(wanted), "begun_again": again, "wrong": len(bad)})


def late_completion(journal: Journal) -> Check:
    """The session that was stopped with a task could not complete it any more."""
    if not stops(journal):
        return Check("late completion", None, NOT_SHOWN)
    note = last_note(journal, "late_completion")
    if note is None:
        return Check("late completion", False, "no session came back with a task")
    refused = bool(note.fact["refused"])
    found = f"{'refused' if refused else 'TAKEN'}: {note.fact['why']}"
    return Check("late completion", refused, found, {"refused": refused})


def totals(journal: Journal) -> Check:
    """The sessions' counts are those of one process that counts alone; files that changed meanwhile are left out."""
    counted, alone = last_note(journal, "counted"), last_note(journal, "alone")
    if counted is None or alone is None:
        return Check("totals", False, "nothing was counted")
    together, single = read_counts(counted.fact["files"]), read_counts(alone.fact["files"])
    changed = {
        name
        for name in together.keys() & single.keys()
        if together[name] != single[name] and together[name].digest != single[name].digest
    }
    one = Totals.of(count for name, count in together.items() if name not in changed)
    other = Totals.of(count for name, count in single.items() if name not in changed)
    found = f"{one}, as a process alone" if one == other else f"{one}, but alone {other}"
    if changed:
        found += f" ({len(changed)} changed meanwhile)"
    values: dict[str, object] = {"files": one.files, "bytes": one.size, "lines": one.lines, "words": one.words}
    return Check("totals", one == other and one.files > 0, found, {**values, "changed": len(changed)})


def aggregate(journal: Journal) -> Check:
    """The background service added up every task once."""
    counted, added = last_note(journal, "counted"), last_note(journal, "aggregate")
    if counted is None or added is None:
        return Check("aggregate", False, "the service added nothing up")
    done, dead, expected = added.fact["done"], added.fact["dead"], counted.fact["results"]
    held = done + dead == expected and not added.fact["missed"]
    found = f"{done} done, {dead} given up; half of them within {max(added.fact['p50'] * 1000, 1):.0f} ms"
    if not held:
        found += f"; expected {expected} in all"
    return Check("aggregate", held, found, {"done": done, "dead": dead})


def pattern(journal: Journal) -> Check:
    """What was learnt was staged, promoted, and is in the long-term store once."""
    promoted = last_note(journal, "promoted")
    if promoted is None:
        return Check("pattern", False, "none was promoted")
    kept = [note.fact["promotion"] for note in journal.notes if note.kind == "kept"]
    content = promoted.fact["content"]
    found = f"{content['suffix']} files have {content['lines']} of {content['of']} lines; kept {len(kept)} times"
    held = kept == [promoted.fact["promotion"]] and promoted.fact["status"] == "promoted"
    return Check("pattern", held, found.replace("kept 1 times", "promoted and kept once"), {"kept": len(kept)})
