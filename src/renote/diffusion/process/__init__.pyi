from .binomial import BinomialProcess as BinomialProcess
from .gaussian import GaussianProcess as GaussianProcess
from .gaussian import Variance as Variance
