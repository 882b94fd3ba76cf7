"""Small helpers that several rooms share."""

from .files import atomic_folder, atomic_replace, write_json
from .host import DeferredChecks, HostCopy, to_device
from .layouts import ImageSize, Layout, find_layout, token_grid
from .messages import described, did_you_mean, error_message, exit_on_error
from .processes import from_main_process, gather_samples, launched_local_rank, launched_rank, leave_group
from .pytree import tree_equal, tree_leaves, tree_map
from .samples import INDEX, UNLABELLED, VALIDATION_INDEX, VIEW, plain_datasets
from .seeding import derive_seed, seed_everything, temporary_seed
from .tables import text_table

__all__ = [
           'INDEX',
           'UNLABELLED',
           'VALIDATION_INDEX',
           'VIEW',
           'DeferredChecks',
           'HostCopy',
           'ImageSize',
           'Layout',
           'atomic_folder',
           'atomic_replace',
           'derive_seed',
           'described',
           'did_you_mean',
           'error_message',
           'exit_on_error',
           'find_layout',
           'from_main_process',
           'gather_samples',
           'launched_local_rank',
           'launched_rank',
           'leave_group',
           'plain_datasets',
           'seed_everything',
           'temporary_seed',
           'text_table',
           'to_device',
           'token_grid',
           'tree_equal',
           'tree_leaves',
           'tree_map',
           'write_json',
]
