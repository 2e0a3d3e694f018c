from .gaussian import GaussianProcess as GaussianProcess
from .gaussian import Variance as Variance
