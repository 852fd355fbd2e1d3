"""Rule H1: every hook is documented with its exact signature."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from comity import hookspecs
from comity.registry import HOOKS
from comity.testing.kit.rules import rule

PAGE = Path(__file__).parents[2].joinpath("docs/reference/hooks.md").read_text()


@rule("H1")
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_documented_with_its_exact_signature(hook: str) -> None:
    signature = str(inspect.signature(getattr(hookspecs, hook))).replace("'", "")
    assert f"### {hook}\n\n```python\ndef {hook}{signature}\n```\n" in PAGE


@rule("H1")
def test_the_page_has_these_hooks_and_no_others_in_call_order() -> None:
    assert re.findall(r"^### (\w+)$", PAGE, re.MULTILINE) == list(HOOKS)


def test_every_hook_says_what_it_tells() -> None:
    assert all(inspect.getdoc(getattr(hookspecs, hook)) for hook in HOOKS)
