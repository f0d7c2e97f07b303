"""Models: loading them with the Keras that wrote them, carrying them between Kerases, naming and measuring them."""
