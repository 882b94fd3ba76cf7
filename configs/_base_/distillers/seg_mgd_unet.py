# MGD for small U-Nets, whose features make its published weight 30 times as strong as the task, see
# docs/segmentation_methods.md. With 1 it is of the same order.
_base_ = './seg_mgd.py'
distiller = dict(spots=[dict(_base_.distiller.spots[0], weight=1), _base_.distiller.spots[1]])
