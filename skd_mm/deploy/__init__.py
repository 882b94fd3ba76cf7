"""Students that leave the toolkit: export, ONNX files and their latency."""

from .export import export_student, student_config
from .latency import Latency, measure_latency
from .onnx import OnnxExport, OnnxNetwork, export_onnx
from .tracing import ExportError

__all__ = ['ExportError', 'Latency', 'OnnxExport', 'OnnxNetwork', 'export_onnx', 'export_student', 'measure_latency',
           'student_config']
