"""What there is: systems, trained models that come with the package, data sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from renote import systems
from renote.commands.terminal import Json, console, number, picture_path, print_json, print_table, say
from renote.errors import UsageError

if TYPE_CHECKING:
    from renote.experiment import System


def list_(json: Json = False) -> None:
    """List the systems, with paper and task.

    Example: renote list
    """
    found = [systems.get(name) for name in systems.names()]
    if json:
        print_json([system.summary() for system in found])
        return
    body = [[s.name, s.title, s.task, f"{s.paper.authors} {s.paper.year}", _claims_of(s)] for s in found]
    print_table(("name", "system", "task", "paper", "claims"), body)


def _claims_of(system: System[Any]) -> str:
    """The names of its claims, or whose claim measures it."""
    if system.measured_by is not None:
        other, claim = system.measured_by
        return f"{claim} of {other}"
    return ", ".join(claim.id for claim in system.claims) or "none of its own"


def show(name: Positional[str], node: str | None = None, out: str | None = None, json: Json = False) -> None:
    """Show one system: its equations, parts, options, and claims. Or draw what a trained run found: where it attends, its filters, which links are likely.

    Example: renote show gcn

    Args:
        name: Name of a system (renote list), or a run folder: of one that attends (gat, gaan, dual-primal, graph-bert), has filters (chebnet, monet, all for signals), or that predicts links, classes of graphs, or items.
        node: Of a run: the node it is about, by default the first test node, or links of all nodes; its id where a table of nodes has ids, else its number; of many graphs the first to draw, by the name of its file where they are a folder of your own; of recommendations the user.
        out: Of a run: the picture (.png, .svg, .pdf); picture.png by default.
    """
    import dataclasses
    import inspect

    if name not in systems.names() and Path(name).is_dir():
        if json:
            raise UsageError(
                f"json: {name} is a run, of which a picture is drawn; leave json out, or renote evaluate {name} --json"
            )
        _show_run(name, node, out or "picture.png")
        return
    system = _system(name)
    for option, value in {"node": node, "out": out}.items():
        if value is not None:
            raise UsageError(
                f"{option} = {value}: {name} is a system, of which nothing is drawn; name a run folder, or leave {option} out"
            )
    module = inspect.getmodule(system.config)
    about = inspect.getdoc(module) if module else ""
    paper, laptop = system.configure("paper"), system.configure("laptop")
    options = {f.name: [getattr(paper, f.name), getattr(laptop, f.name)] for f in dataclasses.fields(paper)}
    if json:
        document = system.summary() | {
            "about": about,
            "parts": list(system.parts),
            "data": system.data,
            "options": {key: {"paper": values[0], "laptop": values[1]} for key, values in options.items()},
            "presets": {name: dict(changes) for name, changes in system.presets.items()},
            "notes": system.notes,
            "measured_by": system.measured_by and dict(zip(("system", "claim"), system.measured_by)),
        }
        print_json(document)
        return
    sheet = console()
    sheet.print(f"{system.name}: {about}\n", markup=False, highlight=False)
    sheet.print(f"parts: {', '.join(system.parts)}", markup=False)
    for claim in system.claims:
        sheet.print(f"\nclaim {claim.id} ({claim.where}): {claim.statement}", markup=False)
        sheet.print(f"published: {', '.join(f'{k} {v}' for k, v in claim.published.items())}", markup=False)
    if system.measured_by is not None:
        other, claim_id = system.measured_by
        sheet.print(
            f"\nmeasured by the claim {claim_id} of {other}: {systems.get(other).claim(claim_id).statement}",
            markup=False,
        )
    if system.notes:
        sheet.print(f"\n{system.notes}", markup=False)
    sheet.print()
    print_table(("option", "paper", "laptop"), [[key, *map(str, values)] for key, values in options.items()])
    for preset, changes in system.presets.items():
        if preset != "laptop":
            told = ", ".join(f"{key} {value}" for key, value in changes.items())
            sheet.print(f"preset {preset}: {told or 'as paper'}", markup=False)
    sheet.print(f"\ntry: renote train {system.name} --data {system.data} --out runs/{system.name}", markup=False)


def _system(name: str) -> System[Any]:
    """The system of that name; what looks like a folder is told to be missing."""
    try:
        return systems.get(name)
    except UsageError as error:
        if Path(name).exists():
            raise UsageError(
                f"{name} is a file: name a system (renote list), or the run folder that a training wrote"
            ) from error
        if "/" in name or os.sep in name:
            raise UsageError(
                f"the folder {name!r} does not exist: name the run folder that a training wrote (its --out), or a system (renote list)"
            ) from error
        raise UsageError(f"{error} There is no run folder of that name either.") from error


def _show_run(run: str, node: str | None, out: str) -> None:
    target = picture_path(out)
    from renote import evaluate

    loaded = systems.load_run(run)
    evaluate.save_figure(loaded.picture(None if node is None else loaded.node_number(node)), target)
    say(f"what {loaded.system.name} finds on {loaded.data.name}: {target}")


def checkpoints(json: Json = False) -> None:
    """List the trained models that come with renote; their names stand wherever a run folder does.

    Example: renote checkpoints
    """
    from renote.experiment import shipped

    cards = [shipped.read_card(shipped.library() / name) for name in shipped.names()]
    if json:
        print_json(cards)
        return
    body = [
        [
            card["name"],
            card["system"],
            card["data"],
            len(card["classes"]) or "",
            f"{card['parameters']:,}",
            shipped.told(card),
        ]
        for card in cards
    ]
    print_table(("name", "system", "data", "classes", "parameters", "measured"), body)
    say(
        "try: renote sample NAME --out grid.png; each was trained by the command in its card: renote checkpoints --json"
    )


def data_list(json: Json = False) -> None:
    """List the built-in data sets.

    Example: renote data list
    """
    from renote.data import cards
    from renote.data.registry import OWN

    rows = [card.to_dict() for card in cards().values()]
    if json:
        print_json(rows)
        return
    body = [
        [r["name"], r["title"], r["kind"], r["size"], "×".join(map(str, r["shape"])), len(r["classes"])] for r in rows
    ]
    print_table(("name", "data", "kind", "size", "shape", "classes"), body)
    say("your own:\n" + "\n".join(f"  {form}  {what}" for form, what in OWN.values()))


def data_describe(name: Positional[str], json: Json = False) -> None:
    """Describe a data set: counts, classes, source, licence; your own is read and checked for it.

    Example: renote data describe cora

    Args:
        name: Name or path of the data.
    """
    from renote.data import describe

    card = describe(name)
    if json:
        print_json(card)
        return
    print_table(
        ("", card["name"]), [[key, number(value)] for key, value in card.items() if key not in ("files", "name")]
    )


def data_fetch(name: Positional[str]) -> None:
    """Bring a data set's official files to this machine and check them.

    Example: renote data fetch cora

    Args:
        name: Name of the data set.
    """
    from renote.data import fetch

    files = fetch(name)
    say(f"{name} is there: {len(files)} files checked" if files else f"{name} needs no files")
