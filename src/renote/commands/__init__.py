"""What each command does. A function's signature is the command's options, its docstring the help.

Results go to standard output, progress and messages to standard error.
"""

from renote.commands.catalogue import checkpoints, data_describe, data_fetch, data_list, list_, show
from renote.commands.experiments import compare, compare_samplers, demo, fair, reproduce, tune
from renote.commands.runs import complete, correspond, evaluate, predict, recommend, restore, sample, ship
from renote.commands.terminal import parse_options, say

__all__ = [
    "checkpoints",
    "compare",
    "compare_samplers",
    "complete",
    "correspond",
    "data_describe",
    "data_fetch",
    "data_list",
    "demo",
    "evaluate",
    "fair",
    "list_",
    "parse_options",
    "predict",
    "recommend",
    "reproduce",
    "restore",
    "sample",
    "say",
    "ship",
    "show",
    "tune",
]
