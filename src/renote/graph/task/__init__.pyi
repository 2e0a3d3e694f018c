from .graph import GraphClassification as GraphClassification
from .node import NodeClassification as NodeClassification
from .node import PrecomputedNodeClassification as PrecomputedNodeClassification
from .node import binary_cross_entropy as binary_cross_entropy
from .node import hinge as hinge
from .sets import SetRegression as SetRegression
from .signal import SignalClassification as SignalClassification
