"""Students that leave the toolkit: export, ONNX files and their latency, quantisation."""

from .export import export_student, student_config
from .latency import Latency, measure_latency
from .onnx import OnnxExport, OnnxNetwork, export_onnx
from .quantisation import CalibrationHook, FakeQuantize
from .tracing import ExportError

__all__ = ['CalibrationHook', 'ExportError', 'FakeQuantize', 'Latency', 'OnnxExport', 'OnnxNetwork', 'export_onnx',
           'export_student', 'measure_latency', 'student_config']
