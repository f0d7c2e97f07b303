"""Files on microcontrollers: run by TensorFlow Lite Micro's own interpreter, and compiled by Vela for an Ethos-U."""
