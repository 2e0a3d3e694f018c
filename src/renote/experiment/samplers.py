"""All samplers on one trained model: quality of samples against evaluations of the network.

Each sampler gets the spacing of times that suits it and the schedule, and as many steps as fit a number of evaluations, which is found by walking a
denoiser that does nothing but count. What a row says was counted again, at the network, while its samples were drawn.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import statistics
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from renote import evaluate
from renote.diffusion import SAMPLERS, DiffusionModel
from renote.diffusion.condition import Condition
from renote.diffusion.sampler.sde import fitted_step
from renote.errors import UsageError, unknown
from renote.evaluate.picture import PALETTE
from renote.experiment.lab import Lab
from renote.experiment.sample import SampleRun
from renote.nets import listening
from renote.train.log import StepProgress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EVALUATIONS = (5, 10, 20, 50, 100)
SUGGESTED = (10, 20, 50)
"""Evaluations for which the best sampler is told."""

LEVELS = 30
"""Of annealed Langevin dynamics, if there are evaluations for more: then steps at each are worth more than levels."""

NOTHING_LEFT = -12.0
"""Log-SNR at t = 1 below which Heun cannot step evenly in time: linear schedules have -10, cosine -20."""

TOLERANCES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 1e-4, 1e-5)
"""Of the adaptive solver, whose evaluations cannot be asked for."""


def compare_samplers(
    run: SampleRun,
    evaluations: Sequence[int] = EVALUATIONS,
    samples: int = 1000,
    seeds: int = 3,
    *,
    only: Sequence[str] = (),
    work: str | Path = "runs/samplers",
    fresh: bool = False,
    progress: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Draw samples with every sampler at several numbers of evaluations, and measure them.

    Args:
        run: a trained diffusion model.
        evaluations: most evaluations of the network for one sample; a guided one is two evaluations.
        samples: drawn for each row and seed.
        seeds: how many times samples are drawn; seed k has the samples of seeds k · samples and up.
        only: names of samplers; all by default.
        work: folder of measurements, from which a stopped comparison goes on.
        fresh: forget what the work folder holds of this model.
        progress: show progress on standard error.
        options: of sampling that apply to all, e.g. `guidance_scale`.

    Returns:
        `{"run", "system", "data", "protocol", "seeds", "samples", "parameters", "evaluations", "rows": [{"name", "evaluations", "steps", "spacing",
        "options", "metric", "mean", "std", "seconds", "values"}], "best": {"10": {"name", "evaluations", "mean", "std", "as_good"}}}`; seconds are the
        median over seeds, the standard deviation is that of the sample (n - 1), `as_good` are samplers whose mean is nearer than both deviations tell apart.

    Raises:
        UsageError: for a model that is sampled otherwise, an unknown sampler, numbers out of range, or samples none of which are finite.
    """
    model = run.module
    if not isinstance(model, DiffusionModel):
        raise UsageError(f"{run.system.name} has its own way of sampling, so there are no samplers to compare")
    if seeds < 1 or samples < 2 or not evaluations or min(evaluations) < 1:
        raise UsageError(
            f"evaluations = {list(evaluations)}, samples = {samples}, seeds = {seeds}: needs evaluations >= 1, samples >= 2, seeds >= 1"
        )
    for name in only:
        if name not in SAMPLERS:
            raise unknown("sampler", name, SAMPLERS)
    budgets = sorted(set(evaluations))
    chosen = [name for name in SAMPLERS if not only or name in only]
    name = run.folder.resolve().name if run.folder is not None else run.system.name
    folder = Path(work) / f"{name}-{weights_digest(run.module)[:12]}"
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    lab = Lab(run.system, "laptop", folder, progress=False)
    features = evaluate.features(run.training_data())
    planned = [settings for sampler in chosen for settings in arrangements(run, sampler, budgets, options)]
    if not planned:
        raise UsageError(f"evaluations = {budgets}: too few for {', '.join(chosen)}; ask for more")
    rows: list[dict[str, Any]] = []
    exhausted = False
    with StepProgress(f"samplers of {name}", len(planned) * seeds, shown=progress) as bar:
        for place, settings in enumerate(planned):
            if exhausted and settings["sampler"] == "ode":
                continue
            found = []
            for seed in range(seeds):
                key = json.dumps({**settings, "samples": samples, "seed": seed}, sort_keys=True)
                found.append(lab.measure(key, partial(_measure, run, features, samples, seed, settings)))
                bar.to(place * seeds + seed + 1, _told(settings["sampler"], found[-1]))
            # samples that are not finite have no distance, and no row
            if all(math.isfinite(each["frechet_distance"]) for each in found):
                rows.append(_row(settings, found, features.name))
            exhausted = settings["sampler"] == "ode" and found[0]["evaluations"] > budgets[-1]
    if not rows:
        raise UsageError(f"no sampler gives finite samples of {name}: is it trained?")
    shown = [number for number in SUGGESTED if number in budgets] or budgets
    return {
        "run": name,
        "system": run.system.name,
        "data": run.data.name,
        "protocol": _protocol(run, samples, seeds, options),
        "seeds": seeds,
        "samples": samples,
        "parameters": run.parameters,
        "evaluations": budgets,
        "rows": rows,
        "best": {str(number): told for number in shown if (told := best(rows, number)) is not None},
    }


def arrangements(
    run: SampleRun, sampler: str, evaluations: Sequence[int], options: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """The options of sampling with which a sampler makes the best of each number of evaluations; none for a number that is too small.

    Args:
        run: the trained model.
        sampler: its name.
        evaluations: most evaluations a sample, rising.
        options: of sampling that apply to all.
    """
    options = dict(options or {})
    if sampler == "ode":
        for tolerance in TOLERANCES:
            # its grid only says where it begins and ends
            fixed = {"steps": 2, "spacing": "log-snr", "rtol": tolerance, "atol": tolerance}
            yield run.settings(sampler=sampler, **fixed, **options)
        return
    for most in evaluations:
        settings = _within(run, sampler, most, options)
        if settings is not None:
            yield settings


def spacing_for(sampler: str, model: DiffusionModel) -> str:
    """The spacing of times that suits a sampler and a model's schedule.

    Where the variance is preserved, equal steps of time, for all solvers: measured on linear and cosine models, log-SNR and rho spend too many of few steps
    where next to nothing is left of the data. If that is so much so that a step of time divides the noise level by hundreds (cosine), Heun's slopes at both
    ends have little to do with each other, and equal steps of log-SNR are the lesser evil. Where noise grows without bound, multistep solvers take
    log-SNR, in which they are derived, and the others the rho grid. Annealed Langevin dynamics wants levels in one ratio.
    """
    schedule = model.process.schedule
    if sampler == "langevin":
        return "log-snr"
    if schedule.variance_preserving:
        begins = float(schedule.log_snr(torch.ones(1, dtype=torch.float64)))
        return "log-snr" if sampler == "heun" and begins < NOTHING_LEFT else "trailing"
    return "log-snr" if sampler in ("dpm-solver", "unipc") else "rho"


def best(rows: Sequence[Mapping[str, Any]], evaluations: int) -> dict[str, Any] | None:
    """The row of the least mean distance within so many evaluations, and the samplers that seeds do not tell from it; None without any."""
    nearest: dict[str, Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["mean"], reverse=True):
        if row["evaluations"] <= evaluations:
            nearest[row["name"]] = row
    if not nearest:
        return None
    first = min(nearest.values(), key=lambda row: float(row["mean"]))
    alike = [
        name
        for name, row in nearest.items()
        if row is not first and row["mean"] - first["mean"] <= math.hypot(row["std"], first["std"])
    ]
    return {key: first[key] for key in ("name", "evaluations", "mean", "std")} | {"as_good": sorted(alike)}


def advice(found: Mapping[str, Any]) -> str:
    """Which sampler to use at how many evaluations, as a sentence."""
    parts = []
    for number, told in found["best"].items():
        alike = f"; no worse: {', '.join(told['as_good'])}" if told["as_good"] else ""
        parts.append(f"{number}: {told['name']} ({told['mean']:.3g} ± {told['std']:.2g}{alike})")
    return f"best within evaluations {' · '.join(parts)}"


def matrix(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A table's header and rows: a row a sampler, a column a number of evaluations, with the number that was counted where it is another one."""
    budgets = found["evaluations"]
    body = []
    for name in dict.fromkeys(row["name"] for row in found["rows"]):
        rows = [row for row in found["rows"] if row["name"] == name]
        cells = []
        for below, most in zip([0, *budgets], [*budgets, math.inf]):
            fit = [row for row in rows if below < row["evaluations"] <= most]
            last = max(fit, key=lambda row: float(row["evaluations"]), default=None)
            text = "" if last is None else f"{last['mean']:.3g} ± {last['std']:.2g}"
            cells.append(text if last is None or last["evaluations"] == most else f"{text} ({last['evaluations']:g})")
        body.append([name, *cells])
    header = ["sampler", *map(str, budgets), "more"]
    if not any(row[-1] for row in body):
        header, body = header[:-1], [row[:-1] for row in body]
    return header, body


def draw_samplers(found: Mapping[str, Any]) -> Figure:
    """Distance over evaluations, both on logarithmic scales, a line a sampler, its standard deviation over seeds as bars.

    Args:
        found: what `compare_samplers` returned.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["rows"]:
        if row["mean"] > 0:
            lines.setdefault(row["name"], []).append(row)
    # the legend in the order in which the lines end
    for name in sorted(lines, key=lambda name: lines[name][-1]["mean"], reverse=True):
        number = list(SAMPLERS).index(name)
        place, mean, std = ([row[key] for row in lines[name]] for key in ("evaluations", "mean", "std"))
        marker = "osD^v<>PX*"[number % 10]
        axes.errorbar(place, mean, std, color=PALETTE[number % 10], marker=marker, markersize=5, capsize=2, label=name)
    axes.set(xscale="log", yscale="log", xlabel="network evaluations a sample", ylabel=found["rows"][0]["metric"])
    axes.set_xticks(found["evaluations"], list(map(str, found["evaluations"])))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{found['run']}: {found['system']} on {found['data']}", loc="left", fontsize=10)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@contextmanager
def counted(network: nn.Module) -> Iterator[list[int]]:
    """A list that gets the number of samples in each call of a network."""
    calls: list[int] = []
    with listening([network], lambda module, given: calls.append(len(given[0]))):
        yield calls


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of a module's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _within(run: SampleRun, sampler: str, most: int, options: dict[str, Any]) -> dict[str, Any] | None:
    """The settings with the most steps that take at most so many evaluations."""
    model, each = run.module, _each(run.settings(**options))
    spacing = options.get("spacing") or spacing_for(sampler, model)
    # other spacings choose from the steps of training
    limit = model.num_train_steps if spacing not in ("log-snr", "rho") and model.num_train_steps else most

    def settings(steps: int) -> dict[str, Any]:
        own = _langevin(model, steps, most // each) if sampler == "langevin" else {}
        return run.settings(**{"sampler": sampler, "steps": steps, "spacing": spacing, **own, **options})

    low, high = 0, min(most, limit)
    while low < high:
        middle = (low + high + 1) // 2
        if evaluations_of(model, settings(middle)) <= most:
            low = middle
        else:
            high = middle - 1
    return settings(low) if low else None


def evaluations_of(model: DiffusionModel, settings: Mapping[str, Any]) -> int:
    """Evaluations of the network that a sample takes with these options of sampling, if the sampler's steps are fixed; the network is not asked.

    Args:
        model: the model.
        settings: of `DiffusionModel.states`.
    """
    calls = 0

    def count(noisy: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.zeros_like(noisy)

    plain = {key: value for key, value in settings.items() if not key.startswith(("guidance", "classifier"))}
    deque(model.states(1, wrap=lambda denoiser: count, **plain), maxlen=0)
    return calls * _each(settings)


def _langevin(model: DiffusionModel, levels: int, calls: int) -> dict[str, Any]:
    """About thirty levels, then more Langevin steps at each, of the size that fits the ratio of the levels."""
    ends = torch.tensor([1.0, model.shortest_time], dtype=torch.float64)
    schedule, repeats = model.process.schedule, max(1, round(calls / LEVELS))
    first, last = torch.exp(-schedule.log_snr(ends) / 2).tolist()
    step = fitted_step((first / last) ** (1 / max(1, levels - 1)), repeats)
    return {"repeats": repeats, "step_size": step * float(schedule.sigma(ends)[1]) ** 2}


def _each(settings: Mapping[str, Any]) -> int:
    """Evaluations that an estimate takes: two where it is guided by the class."""
    return 1 if settings.get("guidance_scale") in (None, 0, 1) else 2


def _measure(run: SampleRun, features: evaluate.Features, n: int, seed: int, settings: dict[str, Any]) -> Any:
    labels = run.labels_in_turn(n)
    started = time.perf_counter()
    with counted(run.module.denoiser.network) as calls:
        samples = run.sample(n, seed=n * seed, label=labels, **settings)
    seconds = time.perf_counter() - started
    distance = features.distance(samples) if bool(samples.isfinite().all()) else math.inf
    return {"frechet_distance": distance, "evaluations": sum(calls) / n, "seconds": seconds}


def _row(settings: dict[str, Any], found: Sequence[Mapping[str, float]], features: str) -> dict[str, Any]:
    values = [each["frechet_distance"] for each in found]
    evaluations = statistics.fmean(each["evaluations"] for each in found)
    adaptive = settings["sampler"] == "ode"
    return {
        "name": settings["sampler"],
        "evaluations": round(evaluations, 1) if evaluations % 1 else int(evaluations),
        "steps": None if adaptive else settings["steps"],
        "spacing": None if adaptive else settings["spacing"],
        "options": {key: value for key, value in settings.items() if key not in ("sampler", "steps", "spacing")},
        "metric": f"Fréchet distance ({features})",
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else 0.0,
        "seconds": statistics.median(each["seconds"] for each in found),
        "values": values,
    }


def _told(sampler: str, found: Mapping[str, float]) -> str:
    return f"{sampler}, {found['evaluations']:g} evaluations: {found['frechet_distance']:.4g}"


def _protocol(run: SampleRun, samples: int, seeds: int, options: Mapping[str, Any]) -> str:
    own = run.settings(**options)
    guided = (
        f", guidance scale {own['guidance_scale']}, every estimate of which is 2 evaluations" if _each(own) > 1 else ""
    )
    classes = ", all classes alike" if run.module.num_classes else ""
    over = f"seeds 0 to {seeds - 1} of the samples" if seeds > 1 else "one seed"
    return (
        f"one training, {samples} samples{classes} against the training set, mean ± standard deviation over {over}{guided}; "
        "evaluations are those of the denoising network, counted at it"
    )
