# tools/demo.py sets the epochs such that the cost equals that of the stagewise schedule.
_base_ = ['./_base_/street_scenes.py', '../_base_/schedules/phases.py']
model = dict(type='skd_mm.Distiller', student=dict(cfg='configs/demo/student.py'))
schedule = dict(type='NoTeacher', phase_epochs=60, val_interval=20, fraction=0.1)
