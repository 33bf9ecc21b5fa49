"""Data sets: images with labels in their splits, and the protocol card that numbers are kept under.

The data sets themselves are plugins, found by name; what is exported here is what they return.
"""

from hashbench.data.given.splits import as_retrieval_data
from hashbench.data.images import ImageSet, Pixels, RetrievalData
from hashbench.data.protocol import PixelValues, Protocol, protocol_of

__all__ = [
    "ImageSet",
    "PixelValues",
    "Pixels",
    "Protocol",
    "RetrievalData",
    "as_retrieval_data",
    "protocol_of",
]
