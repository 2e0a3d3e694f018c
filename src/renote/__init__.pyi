from . import data as data
from . import diffusion as diffusion
from . import evaluate as evaluate
from . import experiment as experiment
from . import graph as graph
from . import nets as nets
from . import systems as systems
from . import train as train
from .systems import load_run as load_run

__version__: str
