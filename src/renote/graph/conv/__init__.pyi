from .attention import GaANConvolution as GaANConvolution
from .attention import GATConvolution as GATConvolution
from .message import MixtureConvolution as MixtureConvolution
from .message import SAGEConvolution as SAGEConvolution
from .message import degree_coordinates as degree_coordinates
from .spatial import KipfConvolution as KipfConvolution
