from .ancestral import Ancestral as Ancestral
from .ddim import DDIM as DDIM
from .loop import Sampler as Sampler
from .loop import State as State
from .loop import walk as walk
from .registry import SAMPLERS as SAMPLERS
