"""Model files that would run something, touch something, hang or fill the memory: all of them, for the tests."""

from tests.safety import hostile_containers, hostile_keras2, hostile_keras3, hostile_savedmodels

MODULES = (hostile_keras3, hostile_keras2, hostile_containers, hostile_savedmodels)
HOSTILE = tuple(file for module in MODULES for file in module.files())
"""Every hostile file."""
