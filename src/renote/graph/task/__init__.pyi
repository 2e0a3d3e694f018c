from .node import NodeClassification as NodeClassification
