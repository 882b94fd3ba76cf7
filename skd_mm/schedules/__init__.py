"""When to distil: phases as data, and the recipes that build them. Independent of Runner and model."""

from .baselines import FitNets, NoTeacher, Simultaneous
from .cache import CacheSettings
from .outline import StageOutline
from .parallel import ParallelStages
from .phase import Phase
from .polish import Polish
from .progressive import Progressive
from .recipe import Phases, Recipe
from .reconstruction import StagewiseReconstruction
from .stagewise import BackboneFirst, FewLabels, Stagewise

__all__ = ['BackboneFirst', 'CacheSettings', 'FewLabels', 'FitNets', 'NoTeacher', 'ParallelStages', 'Phase', 'Phases',
           'Polish', 'Progressive', 'Recipe', 'Simultaneous', 'StageOutline', 'Stagewise', 'StagewiseReconstruction']
