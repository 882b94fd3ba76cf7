"""What every loss at a spot has in common."""

from torch import Tensor, nn


class SpotLoss(nn.Module):
    """Compares a student's feature with a teacher's.

    A loss gives one value a sample, so that it can be weighted, gated and averaged over a data set by whoever needs
    that; none of it is the loss's affair. A loss that compares samples with each other cannot do so: it sets
    ``relational`` and returns a scalar.

    Attributes:
        relational: Whether the result is one scalar for the batch instead of ``[B]``.
        same_shape: Whether both features must have the same shape; checked before the training starts.
    """

    relational = False
    same_shape = True

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compares two features.

        Args:
            student: ``[B, ...]``, the student's feature behind its connector.
            teacher: ``[B, ...]``, the teacher's, without a graph.

        Returns:
            ``[B]``, or a scalar where ``relational``.
        """
        raise NotImplementedError
