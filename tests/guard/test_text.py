"""JSON in a hook process is JSON as `json` has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from comity_guard import text

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_is_written_is_read_by_either(value: object) -> None:
    assert json.loads(text.dumps(value)) == value
    assert text.loads(json.dumps(value, indent=1)) == value
    assert text.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@given(st.text(alphabet='{}[]":,0a\\ \n', max_size=12))
def test_what_is_no_json_is_none_for_either(given_text: str) -> None:
    assert outcome(text.loads, given_text) == outcome(json.loads, given_text)


def outcome(loads: Callable[[str], Any], given_text: str) -> Any:
    try:
        return loads(given_text)
    except ValueError:
        return ValueError


def test_without_cpythons_own_parts_json_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_json", None)
    assert text._made() is None
    monkeypatch.setattr(text, "_OURS", None)
    assert text.loads(b' {"a": "\xc3\xa9"} ') == {"a": "é"}
    assert text.dumps({"a": [1, "é"]}) == '{"a":[1,"\\u00e9"]}'


def test_a_hook_that_asks_imports_nothing_that_is_slow_to_import() -> None:
    parts = "comity_guard.client, comity_guard.calls, comity_claude.hook, comity_codex.hook"
    heavy = {
        "json",
        "re",
        "enum",
        "functools",
        "socket",
        "selectors",
        "typing",
        "importlib",
        "subprocess",
        "contextlib",
    }
    code = f"import sys; before = set(sys.modules); import {parts}; print(*set(sys.modules) - before)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # without `site` nobody else says where packages are
    done = subprocess.run([sys.executable, "-S", "-c", code], env=env, capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
