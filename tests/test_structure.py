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


def _classes_of_processes() -> set[str]:
    from renote.diffusion import process

    return {name for name in process.__all__ if isinstance(getattr(process, name), type)}


def _asks_for(tree: ast.AST, classes: set[str]) -> list[str]:
    """Places where code takes one way or another by such a class: isinstance, issubclass, type(x) == C, x is C, case C()."""

    def named(*nodes: ast.AST | None) -> set[str]:
        found = [n for node in nodes if node is not None for n in ast.walk(node)]
        names = {n.id for n in found if isinstance(n, ast.Name)}
        # the graph half has classes of the same names
        return classes & (
            names | {n.attr for n in found if isinstance(n, ast.Attribute) and ast.unparse(n.value) != "graph"}
        )

    told = []
    for node in ast.walk(tree):
        asked: set[str] = set()
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            asked = named(*node.args[1:])
        elif isinstance(node, ast.Compare):
            ends = (node.left, *node.comparators)
            asked = named(*(end for end in ends if isinstance(end, ast.Name | ast.Attribute | ast.Tuple | ast.Set)))
        elif isinstance(node, ast.MatchClass):
            asked = named(node.cls)
        told += [f"line {node.lineno}: {name}" for name in sorted(asked)]  # type: ignore[attr-defined]
    return told


def test_nothing_outside_asks_which_process_it_has() -> None:
    """Issue 7: a corruption of one's own works everywhere because nobody outside their folder asks for a class of processes or operators."""
    classes = _classes_of_processes()
    assert {"GaussianProcess", "CategoricalProcess", "HeatProcess", "Animorph", "Absorbing", "Jumps"} <= classes
    # the graph half imports nothing of diffusion, and has classes of the same names
    exempt = {SOURCE / "diffusion" / "process", SOURCE / "graph"}
    found = {
        str(path.relative_to(SOURCE)): told
        for path in SOURCE.rglob("*.py")
        if not exempt & set(path.parents) and (told := _asks_for(ast.parse(path.read_text()), classes))
    }
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        "isinstance(model.process, process.HeatProcess)",
        "isinstance(x, (int, GaussianProcess))",
        "issubclass(kind, Operator)",
        "made = Animorph(data) if kind is Animorph else kind(3)",
        "type(process) == CategoricalProcess",
        "kind in (Blur, Mask)",
        "match process:\n    case processes.HeatProcess(): pass",
    ],
)
def test_asking_for_a_process_is_seen(code: str) -> None:
    assert _asks_for(ast.parse(code), _classes_of_processes())


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
