"""Model files that would run something, touch something, hang or fill the memory: all of them, for the tests."""

import hostile_containers
import hostile_keras2
import hostile_keras3
import hostile_savedmodels

MODULES = (hostile_keras3, hostile_keras2, hostile_containers, hostile_savedmodels)
HOSTILE = tuple(file for module in MODULES for file in module.files())
"""Every hostile file."""
