"""What is done with a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from renote import systems
from renote.commands.terminal import Json, number, parse_options, picture_path, print_json, print_table, say
from renote.errors import UsageError, counted
from renote.experiment import shipped

if TYPE_CHECKING:
    from renote.experiment import Run, SampleRun


RUN = f"The run folder, or a checkpoint that comes with renote: {', '.join(shipped.names()) or 'none here'}."
RunName = Annotated[Positional[str], arg(help=RUN)]


def generative(run: str, data: str | None = None) -> SampleRun:
    """A trained generative model by folder or name, with other data if they are named.

    Raises:
        UsageError: if there is none, or it is of another kind.
        DataError: the other data are of another form.
    """
    from renote import experiment

    loaded = systems.load_run(run, data)
    if not isinstance(loaded, experiment.SampleRun):
        raise UsageError(f"{run} holds {loaded.system.name}, which makes no samples: use renote predict or evaluate")
    return loaded


def sample(
    run: RunName,
    n: Annotated[int, arg(aliases=["-n"])] = 64,
    out: str | None = None,
    class_: Annotated[str | None, arg(name="class")] = None,
    sampler: str | None = None,
    steps: int | None = None,
    eta: float | None = None,
    guidance_scale: float | None = None,
    option: tuple[str, ...] = (),
    seed: int = 0,
    film: str | None = None,
) -> None:
    """Draw samples from a trained generative model.

    Example: renote sample runs/digits -n 64 --sampler ddim --steps 25 --guidance-scale 2 --class 3 --out grid.png

    Args:
        run: The run folder, or the name of a checkpoint.
        n: How many.
        out: A picture (.png, .jpg, .webp), text (.txt), molecules (.smi, with a picture beside) or an array (.npy); samples.png, .txt or .smi by default.
        class_: Number or name of a class; without it, classes at random.
        sampler: ancestral, ddim, heun, …; the system's own by default.
        steps: Steps of the sampler.
        eta: Noise that ddim adds: 0 none, 1 as much as ancestral.
        guidance_scale: 0 ignores the class, 1 is plainly conditional, above 1 exaggerates it.
        option: Other options of the sampler as KEY=VALUE, e.g. spacing=rho churn=40, or given="ROMEO: ____" to fill in text.
        seed: Sample i depends on seed + i alone.
        film: Also write the way from noise to samples as a strip of pictures; of text as a text (.txt) or a page (.html).
    """
    from renote import evaluate

    loaded = generative(run)
    written, graphs = bool(loaded.data.alphabet), loaded.data.graphs
    path = Path(out or loaded.samples_file)
    where = str(path)
    options: dict[str, Any] = {"sampler": sampler, "steps": steps, "eta": eta, "guidance_scale": guidance_scale}
    options |= parse_options(option)
    samples = loaded.sample(n, seed=seed, label=class_, progress=True, **options)
    if written and path.suffix.lower() != ".npy":
        evaluate.write_texts(loaded.data.text(samples), path)
    elif graphs is not None:
        where = " and ".join(map(str, evaluate.write_graphs(samples, graphs, path)))
    else:
        evaluate.write_samples(samples if path.suffix.lower() == ".npy" else loaded.data.shown(samples), path)
    say(f"{counted(n, 'sample')} in {where}")
    if film is not None:
        frames = loaded.clean_film(min(n, 8), seed=seed, label=class_, **options)
        evaluate.write_film_of(loaded.data, frames, Path(film))
        say(f"the way from noise in {film}")


def restore(
    run: RunName,
    strength: float = 1.0,
    n: Annotated[int, arg(aliases=["-n"])] = 8,
    out: str = "restored.png",
    data: str | None = None,
    steps: int | None = None,
    option: tuple[str, ...] = (),
    seed: int = 0,
    film: str | None = None,
) -> None:
    """Degrade held-out data and restore it, by a trained model of a degradation (cold-diffusion) or of heat (ihdm).

    Example: renote restore runs/blur --strength 0.6 --option algorithm=naive --out pairs.png --film way.png

    Args:
        run: The run folder, or the name of a checkpoint.
        strength: Of the degradation, from the first training step to 1, which leaves least.
        n: How many.
        out: A picture (.png, .jpg, .webp) with three rows, the original, degraded and restored; or an array (.npy) of all three.
        data: Your own data of the same shape, all of it, in the place of what the training held out.
        steps: Steps of the way back; by default all training steps up to that strength.
        option: Other options of the way back as KEY=VALUE: algorithm=naive or improved for degradations, delta=1.5 for heat.
        seed: What is random in the degradation of sample i depends on seed + i alone.
        film: Also write the way back as a strip of pictures.
    """
    import torch

    from renote import evaluate

    if n < 1:
        raise UsageError(f"n = {n}: at least one sample")
    loaded = generative(run, data)
    read = loaded.training_data()
    raw = torch.cat([read.test, read.train]) if data is not None else read.test if len(read.test) else read.train
    clean = read.clean(raw[:n])
    frames = loaded.restore(clean, strength=strength, seed=seed, steps=steps, **parse_options(option))
    degraded, restored = frames[0], frames[-1]
    path = Path(out)
    shown = [read.raw(each) for each in (clean, degraded, restored)]
    if path.suffix.lower() == ".npy":
        evaluate.write_samples(torch.stack(shown), path)
    else:
        evaluate.write_samples(read.shown(torch.cat(shown)), path, columns=len(clean))
    errors = [float((each.clamp(-1, 1) - clean).square().mean().sqrt()) / 2 for each in (degraded, restored)]
    say(
        f"{counted(len(clean), 'sample')} in {path}; error of the range: {errors[0]:.3f} degraded, {errors[1]:.3f} restored"
    )
    if film is not None:
        evaluate.write_film_of(read, frames, Path(film))
        say(f"the way back in {film}")


def predict(
    run: Positional[str],
    out: str = "predictions.csv",
    data: str | None = None,
    picture: str | None = None,
    molecules: int = 12,
) -> None:
    """Predict the class or the values of every node or graph, the class of every held-out sample of signals, which pairs of nodes have a link, or which facts are missing.

    Example: renote predict runs/cora --out predictions.csv

    Args:
        run: The run folder.
        out: The table: node, graph or sample, class, probability; or graph and values, of molecules their rows and SMILES before these; of links source, target, score, of facts head, relation, tail, probability, the likeliest first.
        data: Another graph or other graphs with the same features, labelled or not, e.g. graph:EDGES.csv,NEW.csv or molecules:NEW.csv, or other samples of the same shape and classes.
        picture: Of values of molecules: also draw them (.png, .svg, .pdf), each atom coloured by what it adds.
        molecules: How many to draw, the first of the table.
    """
    from renote import evaluate, experiment

    target = None if picture is None else picture_path(picture)

    loaded = systems.load_run(run, data)
    if target is not None and not isinstance(loaded, experiment.GraphValueRun):
        raise UsageError(
            f"picture = {picture}: only values of molecules are drawn, and {run} tells classes; leave picture out"
        )
    say(f"{counted(loaded.write_predictions(Path(out)), 'prediction')} in {out}")
    if target is not None and isinstance(loaded, experiment.GraphValueRun):
        evaluate.save_figure(loaded.draw_contributions(molecules), target)
        say(f"what each atom adds, the prediction less that without the atom's features: {target}")


def recommend(
    run: Positional[str],
    user: tuple[str, ...] = (),
    k: Annotated[int | None, arg(aliases=["-k"])] = None,
    out: str = "recommendations.csv",
) -> None:
    """Recommend items to users with a trained recommender: those of the highest score that a user does not have.

    Example: renote recommend runs/films --user 42 -k 10 --out recommendations.csv

    Args:
        run: The run folder.
        user: Names of users that had items in training; all of these by default.
        k: Items for each; the run's own k by default.
        out: The table: user, rank, item, score.
    """
    from renote import experiment

    loaded = systems.load_run(run)
    if not isinstance(loaded, experiment.RecommendRun):
        raise UsageError(f"{run} holds {loaded.system.name}, which recommends nothing: use renote predict or sample")
    say(f"{counted(loaded.write_recommendations(Path(out), user or None, k), 'recommendation')} in {out}")
    if not user:
        _remark(loaded)


def complete(
    run: Positional[str],
    head: str | None = None,
    relation: str | None = None,
    tail: str | None = None,
    questions: str | None = None,
    k: Annotated[int, arg(aliases=["-k"])] = 10,
    out: str = "answers.csv",
) -> None:
    """Complete facts of a knowledge graph: the likeliest tails of a head and a relation, or heads of a relation and a tail, that are not known.

    Example: renote complete runs/family --head anna --relation grandmother -k 5

    Args:
        run: The run folder.
        head: Name of an entity, to ask for tails.
        relation: Name of a relation.
        tail: Name of an entity, to ask for heads.
        questions: A file of such questions, a line each: head, relation and tail with tabs between them, what is asked for as ?.
        k: Answers to each.
        out: The table: head, relation, tail, rank, probability.
    """
    from renote import experiment

    loaded = systems.load_run(run)
    if not isinstance(loaded, experiment.FactRun):
        raise UsageError(f"{run} holds {loaded.system.name}, which knows no facts: train e.g. rgcn-links")
    if questions is not None:
        if head or relation or tail:
            raise UsageError(f"questions = {questions} beside head, relation or tail: give one or the others")
        asked = experiment.read_questions(Path(questions).expanduser())
    else:
        if relation is None:
            raise UsageError("ask by a relation and a head or a tail, or by a file of questions")
        asked = [(head or "?", relation, tail or "?")]
    found = loaded.complete(asked, k)
    say(f"{counted(loaded.write_answers(Path(out), asked, found), 'answer')} in {out}")
    if len(asked) == 1:
        print_table((" ".join(asked[0]), "probability"), [[name, number(share)] for name, share in found[0]])


def correspond(
    run: Positional[str],
    first: Positional[str],
    second: Positional[str],
    out: str = "correspondence.csv",
    picture: str | None = None,
) -> None:
    """Tell which vertex of a second mesh each vertex of a first is, by a network that knows both as surfaces of its kind.

    Example: renote correspond runs/poses one.off other.off --out pairs.csv --picture pairs.png

    Args:
        run: The run folder.
        first: A mesh (.off, .obj, .ply).
        second: Another.
        out: The table: vertex of the first, matched vertex of the second, vertex of the run's reference, probability of the match.
        picture: Also draw both (.png, .svg, .pdf), the first in the colours of what it is matched with.
    """
    from renote import evaluate, experiment

    target = None if picture is None else picture_path(picture)
    loaded = systems.load_run(run)
    if not isinstance(loaded, experiment.MeshRun):
        raise UsageError(f"{run} holds {loaded.system.name}, which knows no meshes: train e.g. monet-mesh")
    pair = loaded.correspond(first, second)
    say(f"{pair.write(Path(out))} vertices of {first} on {second} in {out}")
    if target is not None:
        evaluate.save_figure(pair.draw(), target)
        say(f"same colour, same place: {target}")


def evaluate(
    run: RunName,
    data: str | None = None,
    samples: int = 1000,
    features: str | None = None,
    bits: Literal["bound", "ode"] | None = None,
    hits: tuple[int, ...] = (),
    picture: str | None = None,
    json: Json = False,
) -> None:
    """Measure a trained run: accuracy of predictions, ranks of links, or distance, variety and class accuracy of samples.

    Example: renote evaluate runs/digits --samples 2000 --bits bound

    Args:
        run: The run folder, or the name of a checkpoint.
        data: Other data than it was trained on.
        samples: How many samples to draw from a generative model.
        features: Weights of a classifier (python -m renote.evaluate.ship) in whose features samples are compared.
        bits: Also bits per dimension of held-out samples: bound, the variational one, or ode, the probability flow's.
        hits: Of links: the share that scores above the k-th best of the pairs without one, for each of these k; by default 10, 50 and 100, as far as there are so many.
        picture: Of molecules that are made: also draw their properties beside those of real ones (.png, .svg, .pdf).
    """
    from renote import experiment

    target = None if picture is None else picture_path(picture)
    loaded = systems.load_run(run, data)
    if target is not None and not (
        isinstance(loaded, experiment.SampleRun) and loaded.data.graphs is not None and loaded.data.graphs.molecules
    ):
        raise UsageError(
            f"picture = {picture}: only properties of molecules that are made are drawn, and {run} holds {loaded.system.name} of {loaded.data.name}; leave picture out"
        )
    if hits and not isinstance(loaded, experiment.LinkRun):
        raise UsageError(f"hits = {hits}: they are of links, and {run} holds {loaded.system.name}; leave hits out")
    if isinstance(loaded, experiment.LinkRun):
        measures = loaded.evaluate(hits)
    elif isinstance(loaded, experiment.SampleRun):
        # first what may be refused, as samples take long
        likelihood = {} if bits is None else {"bits": loaded.bits(min(samples, 1000), method=bits)}
        if target is None:
            measures = loaded.evaluate(samples, features=features, progress=True) | likelihood
        else:
            measures = _draw_molecules(loaded, samples, target) | likelihood
    else:
        measures = loaded.evaluate()
    _remark(loaded)
    document = {"run": run, "system": loaded.system.name, "data": loaded.data.name, "measures": measures}
    if json:
        print_json(document)
        return
    print_table(("measure", loaded.system.name), [[key, number(value)] for key, value in measures.items()])


def _draw_molecules(run: SampleRun, count: int, target: Path) -> dict[str, Any]:
    """What `run.evaluate` measures of as many molecules, and a picture of the same ones."""
    from renote import evaluate

    made, real = run.sample(count, progress=True), run.training_data()
    evaluate.save_figure(evaluate.draw_made(made, real), target)
    say(f"properties of {counted(count, 'molecule')}, beside those of real ones: {target}")
    return evaluate.graph_measures(made, real)


def _remark(run: Run) -> None:
    for remark in run.remarks:
        say(remark)


def ship(
    run: Positional[str], *, out: str, samples: int = 1000, precision: Literal["float16", "float32"] = "float16"
) -> None:
    """Make a small checkpoint of a finished generative run, for others to sample from: weights alone, checksums, measured quality.

    Example: renote ship runs/digits --out digits-edm

    Args:
        run: The run folder.
        out: The new folder; its name is the checkpoint's.
        samples: How many samples to draw to measure it, before and after.
        precision: Of the weights on disk.
    """
    from renote import experiment

    card = experiment.ship(generative(run), out, samples, precision)
    size = sum(path.stat().st_size for path in Path(out).iterdir())
    (name, before), (_, after) = (shipped.flaw(card[key]) for key in ("measures_before", "measures"))
    say(f"{out}: {size / 1e6:.2f} MB; {name} {after:.4g}, before {before:.4g}; next: renote sample {out}")
