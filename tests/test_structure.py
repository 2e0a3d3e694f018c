"""The house stands as it was designed."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from renote import systems
from renote.errors import UsageError

SOURCE = Path(__file__).parents[1] / "src" / "renote"


@pytest.mark.parametrize("name", systems.names())
def test_a_systems_file_says_all_of_it(name: str) -> None:
    system = systems.get(name)
    assert system.name == name
    assert system.paper.year > 1900
    assert system.parts
    for preset in ("paper", *system.presets):
        config = system.configure(preset)
        assert dataclasses.asdict(config)
    with pytest.raises(UsageError, match="Did you mean steps"):
        system.configure(stepss=3)
    ids = [claim.id for claim in system.claims]
    assert len(set(ids)) == len(ids)


def test_no_file_is_longer_than_400_lines() -> None:
    long = {str(path): count for path in SOURCE.rglob("*.py") if (count := len(path.read_text().splitlines())) > 400}
    assert not long


def test_every_option_has_a_help_text() -> None:
    for name in systems.names():
        for kind in systems.get(name).config.__mro__:
            if not dataclasses.is_dataclass(kind):
                continue
            inherited = {f for base in kind.__mro__[1:] for f in getattr(base, "__annotations__", {})}
            module = ast.parse(Path(__import__(kind.__module__, fromlist=["x"]).__file__).read_text())  # type: ignore[arg-type]
            body = next(n for n in module.body if isinstance(n, ast.ClassDef) and n.name == kind.__name__).body
            for statement, following in zip(body, [*body[1:], None], strict=True):
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    if statement.target.id in inherited:
                        continue
                    told = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                    assert told, f"{kind.__name__}.{statement.target.id} has no text below it"
