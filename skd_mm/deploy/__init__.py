"""Students that leave the toolkit: export, ONNX files and their latency, quantisation, pruning."""

from .export import export_student, student_config
from .latency import Latency, measure_latency
from .onnx import OnnxExport, OnnxNetwork, export_onnx
from .pruning import ChannelWidths, PruneChannels, prune_student
from .quantisation import CalibrationHook, FakeQuantize
from .tracing import ExportError

__all__ = [
    'CalibrationHook', 'ChannelWidths', 'ExportError', 'FakeQuantize', 'Latency', 'OnnxExport', 'OnnxNetwork',
    'PruneChannels', 'export_onnx', 'export_student', 'measure_latency', 'prune_student', 'student_config'
]
