"""Classifier that also returns embeddings, for comparing images."""

from collections.abc import Sequence
from typing import Any

from mmpretrain.models.classifiers import ImageClassifier
from torch import Tensor

from skd_mm.registry import MODELS


@MODELS.register_module()
class EmbeddingClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier`` with the embedding of each image in its predictions.

    The embedding is the input of the head's last layer (its ``pre_logits``); with ``ArcFaceClsHead``, its direction
    represents the identity of a face. Training, parameters and everything else are those of ``ImageClassifier``.
    :class:`skd_mm.evaluation.VerificationMetric` measures how well embeddings distinguish identities.

    Example:
        >>> model = dict(
        ...     type='skd_mm.EmbeddingClassifier',
        ...     backbone=dict(type='ResNet', depth=18),
        ...     neck=[dict(type='GlobalAveragePooling'),
        ...           dict(type='LinearNeck', in_channels=512, out_channels=256)],
        ...     head=dict(type='ArcFaceClsHead', num_classes=1000, in_channels=256))
    """

    def predict(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, **kwargs: Any) -> list[Any]:
        """Predict classes and embeddings.

        Args:
            inputs: ``[B, C, H, W]``.
            data_samples: One per image. Defaults to None.
            **kwargs: As for mmpretrain's heads.

        Returns:
            Data samples with mmpretrain's predictions and ``embedding``, ``[D]``.
        """
        feats = self.extract_feat(inputs)
        samples = self.head.predict(feats, data_samples, **kwargs)
        for sample, embedding in zip(samples, self.head.pre_logits(feats), strict=True):
            sample.set_data(dict(embedding=embedding))
        return samples
