from .attention import SelfAttention as SelfAttention
from .classifier import TimeClassifier as TimeClassifier
from .embedding import LabelEmbedding as LabelEmbedding
from .embedding import sinusoidal as sinusoidal
from .norm import GroupNorm as GroupNorm
from .point import PointNetwork as PointNetwork
from .unet import ResidualBlock as ResidualBlock
from .unet import UNet as UNet
