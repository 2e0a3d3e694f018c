from .matching import cut_matching as cut_matching
from .matching import merge as merge
from .tree import Level as Level
from .tree import coarsen as coarsen
from .tree import tree_max as tree_max
