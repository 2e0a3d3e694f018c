"""The command line `renote COMMAND …`: which command, which options, which exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes

from renote import commands, systems
from renote.errors import RenoteError, UsageError, unknown

HELP = """renote: denoising diffusion models and graph neural networks.

usage: renote COMMAND [OPTIONS]        renote COMMAND --help has options and an example

  list                     the systems, their papers and claims
  show NAME | RUN          one system: equations, parts, options, claims; or where a trained run attends
  train NAME               train a system on built-in data or your own
  sample RUN               draw samples from a trained generative model
  restore RUN              degrade held-out data and restore it, by a model of a degradation
  checkpoints              trained models that come with renote, usable as a RUN
  predict RUN              predict classes or values of nodes, graphs or signals
  correspond RUN A B       which vertex of one mesh is which of another
  complete RUN             missing facts of a knowledge graph
  recommend RUN            items that users will take, by a trained recommender
  evaluate RUN             measure a trained run
  compare NAME NAME …      several systems on one data set, over seeds
  compare-samplers RUN     all samplers on one model: quality against network evaluations
  fair NAME NAME …         systems for graphs under one protocol: options chosen on other graphs than tested on
  tune NAME NAME …         one small search for each, chosen on validation, beside its own settings
  reproduce NAME           run the experiment behind a paper's claim
  ship RUN                 a small checkpoint of a finished run, for others to sample from
  data list|describe|fetch the data sets
  demo                     both halves in a few minutes, as one HTML page

  --debug                  show the traceback of an error
  --version                print the version

exit status: 0 done · 1 failed · 2 wrong usage or data · 3 the claim did not hold · 130 interrupted

start with:  renote train cfg --data digits --out runs/digits && renote sample runs/digits --class 3 --out threes.png"""


def _train(arguments: Sequence[str]) -> None:
    """`train NAME …`: the fields of the system's configuration are options, so the name is read first."""
    name = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if name is None:
        print(_TRAIN_HELP)
        if not arguments or arguments[0] not in ("-h", "--help"):
            raise UsageError("train which system? Write renote train NAME, e.g. renote train ddpm --help")
        return
    system = systems.get(name)
    wanted = _value_of("--preset", arguments, "laptop")
    default = system.configure(wanted)

    def train(
        *,
        out: str,
        data: str = system.data,
        data_option: tuple[str, ...] = (),
        preset: str = wanted,
        resume: bool = False,
        config: Any = default,
    ) -> None:
        """Train a system on built-in data or your own.

        Example: renote train ddpm --data digits --out runs/digits --steps 2000

        Args:
            out: The run folder: new, or one to go on with by --resume.
            data: A data set, or your own: a folder of images, a .npz or .txt file, or another form that `renote data list` tells.
            data_option: Options of the data set's loader as KEY=VALUE, e.g. size=14.
            preset: Where the defaults below come from: laptop (minutes), paper, or another of the system.
            resume: Go on from the newest checkpoint in the run folder.
            config: The system's configuration.
        """
        from renote import experiment

        config.refuse_idle(default)
        run = experiment.train(system, data, config, out, resume, data_options=commands.parse_options(data_option))
        trained = run.trained
        assert trained is not None
        best = f", weights of step {trained.best_step} (best on validation)" if trained.best_step is not None else ""
        commands.say(f"{trained.step} steps in {trained.seconds:.0f} s{best}; saved in {out}")
        if trained.interrupted:
            commands.say("interrupted: go on with the same command and --resume")
            raise SystemExit(130)
        commands.say(f"next: renote {run.next_command}, or renote evaluate {out}")

    train.__annotations__["config"] = OmitArgPrefixes[system.config]  # type: ignore[name-defined,misc]  # known only now
    tyro.cli(train, args=gathered(arguments[1:]), prog=f"renote train {name}", config=(FlagCreatePairsOff,))


_TRAIN_HELP = """usage: renote train NAME --out DIR [--data DATA] [OPTIONS]

Train a system on built-in data or your own. renote train NAME --help lists every option of that system.

  renote train ddpm --data digits --out runs/digits
  renote train cfg --data folder:pictures --data-option size=32 --out runs/mine
  renote train gcn --data graph:edges.csv,nodes.csv --out runs/graph
  renote train link-baselines --data links:friends.csv --out runs/friends
  renote train gin --data graphs:molecules --out runs/molecules
  renote train mpnn --data molecules:solubility.csv --out runs/solubility
  renote train lightgcn --data ratings:ratings.csv --out runs/ratings
  renote train rgcn-links --data facts:family.tsv --out runs/family
  renote train monet-mesh --data meshes:poses --out runs/poses"""


# options of several values, which a repeated flag adds to; of any other flag the last counts, as is usual
REPEATED = ("--data-option", "--option", "--only", "--grid", "--user")


COMMANDS: dict[str, Callable[..., None]] = {
    "list": commands.list_,
    "show": commands.show,
    "sample": commands.sample,
    "restore": commands.restore,
    "predict": commands.predict,
    "correspond": commands.correspond,
    "complete": commands.complete,
    "recommend": commands.recommend,
    "evaluate": commands.evaluate,
    "checkpoints": commands.checkpoints,
    "compare": commands.compare,
    "compare-samplers": commands.compare_samplers,
    "fair": commands.fair,
    "tune": commands.tune,
    "reproduce": commands.reproduce,
    "ship": commands.ship,
    "data list": commands.data_list,
    "data describe": commands.data_describe,
    "data fetch": commands.data_fetch,
    "demo": commands.demo,
}


def run_command(arguments: Sequence[str]) -> None:
    """Run one command line, without the program's name.

    Raises:
        RenoteError: what went wrong, for the user.
        SystemExit: with the exit status, if it is not 0.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP)
        return
    if arguments[0] == "--version":
        from renote import __version__

        print(f"renote {__version__}")
        return
    if arguments[0] == "train":
        _train(arguments[1:])
        return
    words = 2 if arguments[0] == "data" else 1
    name = " ".join(arguments[:words])
    if name not in COMMANDS:
        if name == "data" or arguments[:2] in (["data", "-h"], ["data", "--help"]):
            print("usage: renote data list | describe NAME | fetch NAME        e.g. renote data describe cora")
            return
        raise unknown("command", name, ["train", *COMMANDS])
    tyro.cli(COMMANDS[name], args=gathered(arguments[words:]), prog=f"renote {name}", config=(FlagCreatePairsOff,))


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: errors for the user become one message and an exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    try:
        run_command(given)
    except RenoteError as error:
        if debug:
            raise
        print(f"renote: {error}", file=sys.stderr)
        raise SystemExit(error.status) from None
    except KeyboardInterrupt:
        print("renote: interrupted; what was finished is kept", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # the reader of a pipe left, as `head` does: that is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def gathered(arguments: Sequence[str]) -> list[str]:
    """The same command line with each flag of `REPEATED` once, at the end, and all its values behind it.

    `--only a --only b` and `--only a b` mean the same then; the parser alone would forget all but the last.
    """
    kept: list[str] = []
    values: dict[str, list[str]] = {}
    into = kept
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        flag = flag.replace("_", "-")
        if flag in REPEATED:
            into = values.setdefault(flag, [])
            if equals:
                into.append(value)
                into = kept
            continue
        if argument.startswith("-"):
            into = kept
        into.append(argument)
    return [*kept, *(part for flag, given in values.items() for part in (flag, *given))]


def _value_of(option: str, arguments: Sequence[str], default: str) -> str:
    for place, argument in enumerate(arguments):
        if argument == option and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return default


if __name__ == "__main__":
    main()
