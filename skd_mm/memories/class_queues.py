"""The memory of cross-image relational distillation."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skd_mm.losses.base import resize_labels, safe_normalize, upcast
from skd_mm.registry import MEMORIES
from skd_mm.utils import gather_samples


@MEMORIES.register_module()
class ClassQueues(nn.Module):
    """Queues of the teacher's features by class: of single pixels, and of regions, the pixels of a class in an image.

    In each training step it first remembers the batch, that of all processes: for each image and each class in it, the
    mean feature of its pixels, of length 1, as a region, and up to ``pixels_per_image`` of its pixels, drawn at random.
    Then it draws slots, the same ones for all classes, and gives their features as what the batch's pixels are compared
    with. Yang et al., CIRKD, arXiv 2204.06986, Sec. 3.3 and 3.4, and the authors' code. Queues begin with random
    vectors of length 1, which are replaced one after the other.

    The authors' code draws the pixels of a class with n pixels from the first n positions of the image, of whatever
    class these are. That is a mistake with an effect on the published numbers: ``faulty_sampling=True`` repeats it.

    All state is in buffers, so a resumed run continues exactly. They are large:
    ``4 · num_classes · dim · (pixel_slots + region_slots)`` bytes, 408 MiB for 19 classes and dim 256, 3.1 GiB for 150;
    ``half=True`` halves that. The queues of all processes stay equal, as each process draws from its own images and
    gets what the others have drawn. In eval mode nothing is remembered, and the first slots are compared with.

    Args:
        num_classes: How many classes; filled in by the distiller.
        dim: Channels of the teacher's feature; filled in by the distiller.
        pixel_slots: Pixels remembered per class. Defaults to 20000; the authors have 2000 for SegFormer.
        region_slots: Regions remembered per class. Defaults to 2000.
        pixel_keys: About how many pixels are compared with, of all classes together: ``pixel_keys // num_classes + 1``
            of each. Defaults to 4096.
        region_keys: The same of regions. Defaults to 1024.
        pixels_per_image: How many pixels per class and image are remembered at most. Defaults to 16.
        ignore_index: The label of pixels without a class. Defaults to 255.
        faulty_sampling: Draw pixels as the authors' code does. Defaults to False.
        half: Store features in half precision. Defaults to False.

    Raises:
        ValueError: A number is not positive, or there are fewer slots than are filled or drawn at once.
    """

    dense_labels = True

    def __init__(self, num_classes: int, dim: int, pixel_slots: int = 20000, region_slots: int = 2000,
                 pixel_keys: int = 4096, region_keys: int = 1024, pixels_per_image: int = 16, ignore_index: int = 255,
                 faulty_sampling: bool = False, half: bool = False) -> None:
        super().__init__()
        for name, value in (('num_classes', num_classes), ('dim', dim), ('pixels_per_image', pixels_per_image),
                            ('pixel_keys', pixel_keys), ('region_keys', region_keys)):
            if value < 1:
                raise ValueError(f'ClassQueues: `{name}` must be positive, not {value!r}')
        self.num_keys = dict(pixels=pixel_keys // num_classes + 1, regions=region_keys // num_classes + 1)
        for name, slots, least in (('pixel_slots', pixel_slots, max(self.num_keys['pixels'], pixels_per_image)),
                                   ('region_slots', region_slots, self.num_keys['regions'])):
            if slots < least:
                raise ValueError(f'ClassQueues: `{name}` must be at least {least} here, not {slots!r}')
        self.num_classes = num_classes
        self.pixels_per_image = pixels_per_image
        self.ignore_index = ignore_index
        self.faulty_sampling = faulty_sampling
        self.pixels: Tensor
        self.regions: Tensor
        self.pixel_slot: Tensor
        self.region_slot: Tensor
        for name, slots in (('pixels', pixel_slots), ('regions', region_slots)):
            queue = F.normalize(torch.randn(num_classes, slots, dim), dim=2)
            self.register_buffer(name, queue.half() if half else queue)
        for name in ('pixel_slot', 'region_slot'):
            self.register_buffer(name, torch.zeros(num_classes, dtype=torch.long))  # where each class goes on

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor | None = None, labels: Tensor | None = None,
                selected: Tensor | None = None) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Remember the teacher's features in training mode, and return what both networks are compared with.

        Args:
            student: ``[B, dim, H, W]``.
            teacher: ``[B, dim, H, W]``.
            index: Not used.
            labels: ``[B, H', W']``, taken at the nearest pixel if the resolution differs. Nothing is remembered
                without.
            selected: ``[B]``, True for the images that are remembered; all by default.

        Returns:
            For each network its features of length 1, ``[B, dim, H, W]``, and the same drawn pixels and regions,
            ``[B, K, dim]`` and ``[B, K', dim]``, equal for all images; for :class:`skd_mm.losses.CIRKDMemoryLoss`.

        Raises:
            ValueError: The features are no maps of ``dim`` channels.
        """
        dim = self.pixels.shape[2]
        if student.dim() != 4 or student.shape[1] != dim or teacher.shape[1] != dim:
            raise ValueError(f'ClassQueues has dim={dim}, and the features are {list(student.shape)} and '
                             f"{list(teacher.shape)}; dict(type='Projector') as `connector` gives the student the "
                             "teacher's channels")
        with torch.autocast(student.device.type, enabled=False):
            student, teacher = (safe_normalize(upcast(side), dim=1) for side in (student, teacher))
            if self.training and labels is not None and labels.dim() > 1:
                self._remember(teacher, resize_labels(labels, teacher.shape[2:]), selected)
            keys = [self._draw(name).to(student.dtype).expand(len(student), -1, -1) for name in ('pixels', 'regions')]
        return (student, *keys), (teacher, *keys)

    def _draw(self, name: str) -> Tensor:
        """Features at slots of all classes, ``[K, dim]``."""
        queue, count = getattr(self, name), self.num_keys[name]
        if not self.training:
            return queue[:, :count].flatten(0, 1)
        slots = torch.randperm(queue.shape[1], device=queue.device)[:count]
        return queue[:, slots].flatten(0, 1)

    @torch.no_grad()
    def _remember(self, teacher: Tensor, labels: Tensor, selected: Tensor | None) -> None:
        """Write what the images of all processes have, one image after the other."""
        positions, labels = teacher.flatten(2).transpose(1, 2), labels.flatten(1)
        # What has overflowed in half precision must not stay.
        finite = positions.isfinite().all(2)
        positions = positions.masked_fill(~finite[..., None], 0)
        valid = (labels != self.ignore_index) & finite
        if selected is not None:
            valid = valid & selected[:, None]
        classes = torch.arange(self.num_classes, device=labels.device)[:, None]
        members = (labels[:, None] == classes) & valid[:, None]  # [B, K, P]
        regions = safe_normalize(members.to(positions.dtype) @ positions, dim=2)
        pixels = self._pixels_of_classes(positions, members)
        for image in zip(*(gather_samples(part) for part in (regions, pixels, members.sum(2))), strict=True):
            self._write(*image)

    def _pixels_of_classes(self, positions: Tensor, members: Tensor) -> Tensor:
        """``[B, P, dim]`` and ``[B, K, P]`` to features of pixels of each class in random order, ``[B, K, n, dim]``."""
        chances = torch.rand(members.shape, device=members.device)
        if self.faulty_sampling:
            members = torch.arange(members.shape[2], device=members.device) < members.sum(2, keepdim=True)
        count = min(self.pixels_per_image, members.shape[2])
        chosen = chances.masked_fill(~members, -1).topk(count, dim=2).indices  # those of the class come first
        features = positions.gather(1, chosen.flatten(1)[..., None].expand(-1, -1, positions.shape[2]))
        return features.unflatten(1, chosen.shape[1:])

    def _write(self, region: Tensor, pixels: Tensor, counts: Tensor) -> None:
        """Write ``[K, dim]``, the first of ``[K, n, dim]``, for classes with ``counts`` pixels, ``[K]``."""
        classes = torch.arange(self.num_classes, device=counts.device)
        there = counts > 0
        old = self.regions[classes, self.region_slot]
        self.regions[classes, self.region_slot] = torch.where(there[:, None], region.to(old.dtype), old)
        self.region_slot.copy_((self.region_slot + there) % self.regions.shape[1])

        slots, most = self.pixels.shape[1], pixels.shape[1]
        counts = counts.clamp(max=most)[:, None]
        # At the end of a queue the last slots are written, and it begins again at the first.
        full = self.pixel_slot[:, None] + counts >= slots
        first = torch.where(full, slots - counts, self.pixel_slot[:, None])
        # A class with fewer pixels writes its last one several times, to one slot; one with none writes what is there.
        offset = torch.arange(most, device=counts.device).minimum((counts - 1).clamp(min=0))
        new = pixels.gather(1, offset[..., None].expand(-1, -1, pixels.shape[2]))
        old = self.pixels[classes[:, None], first + offset]
        self.pixels[classes[:, None], first + offset] = torch.where(there[:, None, None], new.to(old.dtype), old)
        self.pixel_slot.copy_(torch.where(full, 0, first + counts)[:, 0])
