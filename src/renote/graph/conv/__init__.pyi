from .precomputed import DiffusionConvolution as DiffusionConvolution
from .precomputed import InceptionConvolution as InceptionConvolution
from .precomputed import PrecomputedConvolution as PrecomputedConvolution
from .precomputed import SimplifiedConvolution as SimplifiedConvolution
from .spatial import KipfConvolution as KipfConvolution
from .spectral import ChebyshevConvolution as ChebyshevConvolution
